/* Connection to the parent, shared memory, sticky errors, device printf text. */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct { uint32_t op, flags; uint64_t bytes; } request_header;
typedef struct { int32_t error; uint32_t sticky; uint64_t bytes; } reply_header;
typedef struct { uint32_t protocol, pid; } hello_request;
typedef struct { uint64_t base, bytes; uint32_t attribute_count, name_bytes; } hello_reply;

static pthread_mutex_t mutex;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int connection = -1;
static pid_t owner;
static int sticky_error, refused;
static uint64_t now_ns;
static uint32_t generation = 1;
static as_arena arena;
static char *text;
static size_t text_bytes;
static as_map reported;
static struct sigaction previous_segv;
static __thread int last_error;

static void init_mutex(void) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mutex, &attributes);
}

void as_lock(void) {
    pthread_once(&once, init_mutex);
    pthread_mutex_lock(&mutex);
}

void as_unlock(void) { pthread_mutex_unlock(&mutex); }
const as_arena *as_arena_get(void) { return &arena; }
int as_sticky(void) { return sticky_error; }
uint64_t as_now_ns(void) { return now_ns; }
void as_set_now(uint64_t ns) { now_ns = ns; }
uint32_t as_generation(void) { return generation; }

int as_last(int clear) {
    int error = last_error ? last_error : sticky_error;
    if (clear) last_error = 0;
    return error;
}

int as_note(int error) {
    if (error && error != AS_NOT_READY) last_error = error;
    return error;
}

/* ---- device printf ---- */

void as_text(const void *data, size_t bytes) {
    char *grown = bytes ? realloc(text, text_bytes + bytes) : NULL;
    if (!grown) return;
    memcpy(grown + text_bytes, data, bytes);
    text = grown;
    text_bytes += bytes;
}

void as_flush(void) {
    as_lock();
    if (text_bytes) {
        fwrite(text, 1, text_bytes, stdout);
        free(text);
        text = NULL;
        text_bytes = 0;
    }
    as_unlock();
}

/* ---- transport ---- */

static int fail_connection(const char *why) {
    if (!sticky_error) fprintf(stderr, "archsim: %s: every further CUDA call fails\n", why);
    sticky_error = AS_LAUNCH_FAILURE;
    return sticky_error;
}

static int send_all(const void *data, size_t bytes) {
    const char *p = data;
    while (bytes) {
        ssize_t n = send(connection, p, bytes, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        p += n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int receive_all(void *data, size_t bytes) {
    char *p = data;
    while (bytes) {
        ssize_t n = recv(connection, p, bytes, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        p += n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int send_request(uint32_t op, uint32_t flags, const void *head, size_t head_bytes, const void *body, size_t body_bytes) {
    request_header header = {op, flags, head_bytes + body_bytes};
    return send_all(&header, sizeof header) || send_all(head, head_bytes) || send_all(body, body_bytes);
}

static int receive_reply(as_reply *reply) {
    reply_header header;
    if (receive_all(&header, sizeof header)) return fail_connection("the emulator process is gone");
    char *data = malloc(header.bytes + 1);
    if (!data || receive_all(data, header.bytes)) {
        free(data);
        return fail_connection("the emulator process is gone");
    }
    data[header.bytes] = 0;
    if (header.sticky) sticky_error = header.error;
    if (header.error || !reply) {
        free(data);
        return header.error;
    }
    reply->data = data;
    reply->bytes = header.bytes;
    return AS_OK;
}

/* ---- a clear message when host code dereferences a device pointer ---- */

static void put_hex(char *to, uint64_t value) {
    for (int i = 15; i >= 0; --i, value >>= 4) to[i] = "0123456789abcdef"[value & 15];
}

static void on_segv(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    uint64_t address = (uint64_t)info->si_addr;
    if (address >= arena.base && address < arena.base + arena.bytes) {
        char message[] = "archsim: host code dereferenced the device address 0x0000000000000000 (cudaMalloc memory is not readable "
                         "on the host: use cudaMemcpy or cudaMallocManaged)\n";
        put_hex(strstr(message, "0x") + 2, address);
        ssize_t ignored = write(2, message, sizeof message - 1);
        (void)ignored;
    }
    sigaction(signal_number, &previous_segv, NULL); /* back to what was there: the faulting instruction runs again and ends the program */
}

static void watch_segv(void) {
    struct sigaction action = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (!sigaction(SIGSEGV, NULL, &previous_segv) && previous_segv.sa_handler == SIG_DFL) sigaction(SIGSEGV, &action, NULL);
}

/* ---- connecting ---- */

static int receive_descriptor(void) {
    char byte;
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n;
    do n = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *c = n == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    int fd = -1;
    if (c && c->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

static int map_arena(int fd) {
    int flags = MAP_SHARED | MAP_NORESERVE;
    void *at = mmap((void *)arena.base, arena.bytes, PROT_NONE, flags | MAP_FIXED_NOREPLACE, fd, 0);
    arena.alias = mmap(NULL, arena.bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    close(fd);
    if (at != (void *)arena.base || arena.alias == MAP_FAILED) return -1;
    madvise(at, arena.bytes, MADV_DONTFORK); /* a forked child must not write the parent's device memory */
    madvise(arena.alias, arena.bytes, MADV_DONTFORK);
    madvise(at, arena.bytes, MADV_DONTDUMP);
    madvise(arena.alias, arena.bytes, MADV_DONTDUMP);
    return 0;
}

static int say_hello(void) {
    hello_request request = {AS_PROTOCOL, (uint32_t)getpid()};
    as_reply reply = {0};
    if (send_request(AS_OP_HELLO, 0, &request, sizeof request, NULL, 0)) return fail_connection("the emulator process is gone");
    int error = receive_reply(&reply);
    if (error) return error;
    hello_reply *hello = reply.data;
    arena.base = hello->base;
    arena.bytes = hello->bytes;
    arena.attribute_count = hello->attribute_count;
    arena.attributes = (int32_t *)(hello + 1);
    arena.hello = (char *)(arena.attributes + hello->attribute_count); /* NUL added by receive_reply; kept for ever */
    int fd = receive_descriptor();
    if (fd < 0) return fail_connection("no device memory from the emulator process");
    if (map_arena(fd)) return fail_connection("the device address range is not free in this program");
    return AS_OK;
}

static int connect_parent(void) {
    const char *path = getenv("ARCHSIM_CAPTURE_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof address.sun_path) {
        if (!refused++) fprintf(stderr, "archsim: this stand-in for the CUDA runtime works only under 'archsim capture'\n");
        return AS_INSUFFICIENT_DRIVER;
    }
    strcpy(address.sun_path, path);
    connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address)) {
        if (connection >= 0) close(connection);
        connection = -1;
        if (!refused++) fprintf(stderr, "archsim: no answer from 'archsim capture' at %s: %s\n", path, strerror(errno));
        return AS_INSUFFICIENT_DRIVER;
    }
    owner = getpid();
    int error = say_hello();
    if (!error) watch_segv();
    return error;
}

int as_enter(void) {
    as_lock();
    int error = AS_OK;
    if (connection < 0)
        error = connect_parent();
    else if (owner != getpid())
        error = AS_INITIALIZATION; /* a forked child of an initialised process, as on a GPU */
    else
        error = sticky_error;
    as_unlock();
    return error;
}

int as_request(uint32_t op, const void *head, size_t head_bytes, const void *body, size_t body_bytes, as_reply *reply) {
    if (reply) reply->data = NULL, reply->bytes = 0;
    int error = as_enter();
    if (error) return error;
    as_lock();
    if (send_request(op, 0, head, head_bytes, body, body_bytes))
        error = fail_connection("the emulator process is gone");
    else
        error = receive_reply(reply);
    as_unlock();
    return error;
}

int as_post(uint32_t op, const void *head, size_t head_bytes, const void *body, size_t body_bytes) {
    int error = as_enter();
    if (error) return error;
    as_lock();
    if (send_request(op, 1, head, head_bytes, body, body_bytes)) error = fail_connection("the emulator process is gone");
    as_unlock();
    return error;
}

int as_unsupported(const char *name) {
    as_lock();
    if (!as_map_get(&reported, name)) {
        as_map_put(&reported, name, (void *)name);
        as_post(AS_OP_UNSUPPORTED, name, strlen(name), NULL, 0);
    }
    as_unlock();
    return AS_NOT_SUPPORTED;
}

int as_reset(void) {
    as_lock();
    sticky_error = 0;
    last_error = 0;
    int error = as_request(AS_OP_RESET, NULL, 0, NULL, 0, NULL);
    as_memory_reset();
    generation++;
    as_unlock();
    return error;
}

/* ---- limits, by cudaLimit number: stack, printf buffer, malloc heap, sync depth, pending launches, L2 fetch, persisting L2 ---- */

static size_t limits[] = {1024, 1 << 20, 8 << 20, 2, 2048, 64, 0}; /* documented defaults */
#define LIMITS ((int)(sizeof limits / sizeof *limits))

int as_limit_get(int limit, size_t *value) {
    if (!value || limit < 0 || limit >= LIMITS) return AS_INVALID_VALUE;
    *value = limits[limit];
    return as_enter();
}

int as_limit_set(int limit, size_t value) {
    if (limit < 0 || limit >= LIMITS) return AS_INVALID_VALUE;
    struct { uint32_t limit, pad; uint64_t value; } request = {(uint32_t)limit, 0, value};
    int error = as_request(AS_OP_LIMIT, &request, sizeof request, NULL, 0, NULL);
    if (!error) limits[limit] = value;
    return error;
}

__attribute__((destructor)) static void leave(void) {
    if (connection >= 0 && owner == getpid()) as_flush();
}
