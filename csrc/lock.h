// A lock, and variables that each thread has for itself: on POSIX systems and on Windows.

#ifndef MICROGRAD_LOCK_H
#define MICROGRAD_LOCK_H

#ifdef _MSC_VER
#define THREAD_LOCAL __declspec(thread)
#else
#define THREAD_LOCAL _Thread_local
#endif

#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

typedef SRWLOCK Lock;
#define LOCK_FREE SRWLOCK_INIT

static inline void lock_take(Lock *lock) {
    AcquireSRWLockExclusive(lock);
}

static inline void lock_give(Lock *lock) {
    ReleaseSRWLockExclusive(lock);
}

// nothing forks here
static inline int lock_around_forks(void (*take)(void), void (*give)(void)) {
    (void)take;
    (void)give;
    return 0;
}

#else

#include <pthread.h>

typedef pthread_mutex_t Lock;
#define LOCK_FREE PTHREAD_MUTEX_INITIALIZER

static inline void lock_take(Lock *lock) {
    pthread_mutex_lock(lock);
}

static inline void lock_give(Lock *lock) {
    pthread_mutex_unlock(lock);
}

// whoever forks takes the lock before, and both processes give it back; 0 if that is so now
static inline int lock_around_forks(void (*take)(void), void (*give)(void)) {
    return pthread_atfork(take, give, give);
}

#endif

#endif
