#ifndef CK_OPTIMIZER_H
#define CK_OPTIMIZER_H

#endif
