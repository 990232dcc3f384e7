#include "exerciser.h"

#include <aio.h>
#include <stdarg.h>

static int temporary(size_t length) {
    char name[] = "/tmp/exerciser-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    unsigned char *data = malloc(length + 1);
    fill(data, length, 0);
    if (fd < 0 || write(fd, data, length) != (ssize_t)length)
        say("FAILED: file");
    free(data);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

void files(struct pair pair) {
    enum { LENGTH = 300000 };
    int file = temporary(LENGTH), ends[2];
    char data[16];

    pthread_t thread = reader(pair.b, LENGTH);
    show("sendfile from the position", sendfile(pair.a, file, NULL, 100));
    show("position", lseek(file, 0, SEEK_CUR));
    off_t offset = 100;
    show("sendfile from an offset", sendfile(pair.a, file, &offset, 200000));
    show("offset", offset);
    show("position", lseek(file, 0, SEEK_CUR));
    off64_t offset64 = offset;
    show("sendfile64 to the end", sendfile64(pair.a, file, &offset64, 1 << 20));
    show("offset", offset64);
    show("sendfile at the end", sendfile(pair.a, file, &offset64, 10));
    finish(thread);

    show("sendfile of nothing", sendfile(pair.a, file, NULL, 0));
    offset = -1;
    show("sendfile from -1", sendfile(pair.a, file, &offset, 10));
    show("sendfile from nowhere", sendfile(pair.a, -1, NULL, 10));
    show("sendfile to nowhere", sendfile(-1, file, NULL, 10));
    show("pipe", pipe(ends));
    put(ends[1], "x", 1);
    show("sendfile from a pipe", sendfile(pair.a, ends[0], NULL, 1));
    show("sendfile from a socket", sendfile(pair.a, pair.b, NULL, 1));
    int write_only = open("/dev/null", O_WRONLY);
    show("sendfile from a write-only file", sendfile(pair.a, write_only, NULL, 1));
    close(write_only);

    /* A socket that does not wait takes what fits. */
    fcntl(pair.a, F_SETFL, fcntl(pair.a, F_GETFL) | O_NONBLOCK);
    size_t total = 0;
    for (;;) {
        offset = 0;
        ssize_t some = sendfile(pair.a, file, &offset, LENGTH);
        if (some < 0) {
            show("full", some);
            break;
        }
        if (offset != some)
            show("offset does not match", offset);
        total += some;
    }
    say("took some %d", total > 0);
    fcntl(pair.a, F_SETFL, fcntl(pair.a, F_GETFL) & ~O_NONBLOCK);
    char *sink = malloc(total);
    get(pair.b, sink, total);
    free(sink);
    show("nothing left", recv(pair.b, data, 1, MSG_DONTWAIT));
    check("after", pair);
    close(file);
    close(ends[0]);
    close(ends[1]);
    close_pair(pair);
}

void kernel_moves(struct pair pair) {
    int ends[2], others[2];
    char data[64];
    memset(data, 0, sizeof data);
    show("pipe", pipe(ends));
    show("pipe2", pipe2(others, O_CLOEXEC));
    check("before", pair);
    put(ends[1], "through the kernel", 18);
    show("tee", tee(ends[0], others[1], 64, 0));
    show("splice to a socket", splice(ends[0], NULL, pair.a, NULL, 64, 0));
    until_readable(pair.b);
    show("splice from a socket", splice(pair.b, NULL, ends[1], NULL, 64, 0));
    show("read", read(ends[0], data, sizeof data));
    say("%s", data);
    struct iovec list = {"vm", 2};
    show("vmsplice", vmsplice(ends[1], &list, 1, 0));
    show("vmsplice on a socket", vmsplice(pair.a, &list, 1, 0));
    show("tee on a socket", tee(ends[0], pair.a, 1, 0));
    show("copy_file_range", copy_file_range(pair.a, NULL, pair.b, NULL, 1, 0));
    check("after", pair);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(others[i]);
    }
    close_pair(pair);
}

static int print_list(int fd, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int result = vdprintf(fd, format, arguments);
    va_end(arguments);
    return result;
}

static void line(int fd) {
    char data[200];
    size_t length = 0;
    while (length < sizeof data - 1 && read(fd, data + length, 1) == 1 && data[length] != '\n')
        length++;
    data[length] = 0;
    say("line: %s", data);
}

void streams(struct pair pair) {
    show("dprintf", dprintf(pair.a, "%d %s %.1f %ld %d %d %d %d %g %g %g %g %g %g %g %g %d %s\n", 1, "two", 3.5, 4L, 5, 6,
                            7, 8, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9, "ten"));
    line(pair.b);
    show("vdprintf", print_list(pair.a, "%s %d %.2f\n", "list", 2, 3.25));
    line(pair.b);
    int (*volatile plain)(int, const char *, ...) = dprintf;
    show("plain dprintf", plain(pair.b, "%.1f\n", 0.5));
    line(pair.a);
    show("dprintf to nowhere", dprintf(-1, "x %d\n", 1));

    FILE *in = fdopen(pair.b, "r"), *out = fdopen(dup(pair.b), "w");
    char data[100];
    say("streams %d", in && out && fileno(in) == pair.b);
    put(pair.a, "a line\nanother\n", 15);
    say("%s", fgets(data, sizeof data, in));
    say("%s", fgets(data, sizeof data, in));
    fprintf(out, "formatted %d\n", 42);
    fflush(out);
    line(pair.a);
    show("fclose", fclose(out));
    show("fclose", fclose(in));
    show("end", read(pair.a, data, 1));
    say("closed %d", fcntl(pair.b, F_GETFD) == -1);

    /* The stream's number was that of a connection. */
    FILE *file = fopen("/dev/null", "r+");
    /* In a process with threads another one may take the number first: then once more. */
    for (int tries = 20; fileno(file) != pair.b && tries > 0; tries--) {
        fclose(file);
        close(pair.a);
        pair = connected();
        fclose(fdopen(pair.b, "r"));
        file = fopen("/dev/null", "r+");
    }
    say("same number %d", fileno(file) == pair.b);
    show("fwrite", fwrite("x", 1, 1, file));
    show("fflush", fflush(file));
    show("read at the end", read(fileno(file), data, 1));
    say("again %d", freopen("/dev/zero", "r", file) == file);
    show("read", fread(data, 1, 2, file));
    fclose(file);
    say("no stream %d", fdopen(-1, "r") == NULL);
    struct pair other = connected();
    warm(other);
    file = fdopen(other.b, "r+");
    say("replaced %d", freopen("/dev/null", "r", file) == file);
    show("other end", read(other.a, data, 1));
    fclose(file);
    close(other.a);
    close(pair.a);
}

void asynchronous(struct pair pair) {
    char data[8];
    memset(data, 0, sizeof data);
    struct aiocb out = {.aio_fildes = pair.a, .aio_buf = "async", .aio_nbytes = 5};
    struct aiocb in = {.aio_fildes = pair.b, .aio_buf = data, .aio_nbytes = 5};
    const struct aiocb *wait[] = {&in};
    show("aio_write", aio_write(&out));
    while (aio_error(&out) == EINPROGRESS)
        pause_ms(1);
    show("written", aio_return(&out));
    show("aio_read", aio_read(&in));
    while (aio_error(&in) == EINPROGRESS)
        aio_suspend(wait, 1, NULL);
    show("read", aio_return(&in));
    say("%s", data);
    out.aio_lio_opcode = LIO_WRITE;
    struct aiocb *list[] = {&out, NULL};
    show("lio_listio", lio_listio(LIO_WAIT, list, 2, NULL));
    get(pair.b, data, 5);
    say("%s", data);
    check("after", pair);
    close_pair(pair);
}
