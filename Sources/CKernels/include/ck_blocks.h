#ifndef CK_BLOCKS_H
#define CK_BLOCKS_H

#endif
