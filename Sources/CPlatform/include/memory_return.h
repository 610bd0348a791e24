#ifndef LIDO_MEMORY_RETURN_H
#define LIDO_MEMORY_RETURN_H

// malloc_trim(3) where there is one (glibc); nothing elsewhere.
void memory_give_back(void);
#endif
