/* A disk that refuses: writes and syncs below one folder fail as a file says, for a process that preloads this.
 *
 * The file holds "CALL ERRNO AFTER TIMES": CALL is write or sync, TIMES is how often, AFTER so many good ones. What a refused sync had to bring to the
 * disk is lost, as it is on Linux: the bytes written since the last good one become zeros, and the next sync succeeds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 8192 };
struct piece { int fd; off_t at; size_t size; };

static struct piece pieces[MOST];
static int many;
static int asked; /* since the file was last changed */
static struct timespec told;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int below(int fd) {
    const char *folder = getenv("REFUSING_BELOW");
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = folder ? readlink(link, path, sizeof path - 1) : -1;
    if (size < 0) return 0;
    path[size] = 0;
    return !strncmp(path, folder, strlen(folder)) && !strstr(path, "-shm");
}

/* The number of the error that this call ends with; 0 for none. */
static int refuses(const char *call) {
    char word[16] = "";
    int number = 0, after = 0, times = 0;
    struct stat now;
    const char *path = getenv("REFUSING_TOLD");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file) return 0;
    if (!fstat(fileno(file), &now) && (now.st_mtim.tv_sec != told.tv_sec || now.st_mtim.tv_nsec != told.tv_nsec)) {
        told = now.st_mtim;
        asked = 0;
    }
    int read = fscanf(file, "%15s %d %d %d", word, &number, &after, &times);
    fclose(file);
    if (read != 4 || strcmp(word, call)) return 0;
    asked++;
    return asked > after && asked <= after + times ? number : 0;
}

static ssize_t written(int fd, const void *data, size_t size, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    if (!below(fd)) return real(fd, data, size, at);
    pthread_mutex_lock(&lock);
    int number = refuses("write");
    ssize_t done = number ? -1 : real(fd, data, size, at);
    if (done > 0 && many < MOST) pieces[many++] = (struct piece){fd, at, (size_t)done};
    pthread_mutex_unlock(&lock);
    if (number) errno = number;
    return done;
}

static int synced(const char *name, int fd) {
    static ssize_t (*pwritten)(int, const void *, size_t, off_t);
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    if (!pwritten) pwritten = dlsym(RTLD_NEXT, "pwrite64");
    if (!below(fd)) return real(fd);
    pthread_mutex_lock(&lock);
    int number = refuses("sync"), kept = 0;
    for (int n = 0; n < many; n++) {
        if (pieces[n].fd != fd) {
            pieces[kept++] = pieces[n];
            continue;
        }
        char *zeros = number ? calloc(1, pieces[n].size) : NULL;
        if (zeros && pwritten(fd, zeros, pieces[n].size, pieces[n].at) < 0) perror("refusing");
        free(zeros);
    }
    many = kept;
    int done = number ? -1 : real(fd);
    pthread_mutex_unlock(&lock);
    if (number) errno = number;
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return written(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return written(fd, data, size, at); }
int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }

int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
    static int (*real)(int, const char *, const struct timespec *, int);
    const char *ours = getenv("REFUSING_BELOW");
    if (!real) real = dlsym(RTLD_NEXT, "utimensat");
    if (!ours || strncmp(path, ours, strlen(ours))) return real(folder, path, times, flags);
    pthread_mutex_lock(&lock);
    int number = refuses("write");
    pthread_mutex_unlock(&lock);
    if (number) errno = number;
    return number ? -1 : real(folder, path, times, flags);
}
