#ifndef CK_THREADS_H
#define CK_THREADS_H

#endif
