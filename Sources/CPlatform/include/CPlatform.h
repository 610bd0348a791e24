#ifndef CPLATFORM_H
#define CPLATFORM_H
// Headers that Swift's Glibc module does not carry.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include "claims.h"
#include "cpu_count.h"
#include "crc32c.h"
#include "descriptors.h"
#include "forkserver.h"
#include "memory_file.h"
#include "memory_return.h"
#include "packets.h"
#include "parent.h"
#include "process_name.h"
#include "process_tree.h"
#include "processes.h"
#include "shared_lock.h"
#include "shared_memory.h"
#include "shared_queue.h"
#include "sync_thread.h"
#include "transfer.h"
#include "waiting.h"
#endif
