#ifndef CK_ROWS_H
#define CK_ROWS_H

#endif
