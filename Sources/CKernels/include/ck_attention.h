#ifndef CK_ATTENTION_H
#define CK_ATTENTION_H

#endif
