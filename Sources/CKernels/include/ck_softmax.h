#ifndef CK_SOFTMAX_H
#define CK_SOFTMAX_H

#endif
