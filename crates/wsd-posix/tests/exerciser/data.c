#include "exerciser.h"

/* Not known to the compiler, so that the checking variants (__read_chk...) are called. */
static volatile size_t five = 5;

void reading_and_writing(struct pair pair) {
    char data[64];
    memset(data, 0, sizeof data);
    show("write", write(pair.a, "hello", five));
    until_readable(pair.b);
    show("read", read(pair.b, data, five + 20));
    say("%s", data);
    show("write nothing", write(pair.a, data, five - 5));
    show("write null nothing", write(pair.a, NULL, 0));
    show("read nothing", read(pair.b, data, 0));
    show("read null nothing", read(pair.b, NULL, 0));
    show("write null", write(pair.a, NULL, five));
    put(pair.a, "abc", 3);
    until_readable(pair.b);
    show("read null", read(pair.b, NULL, five));
    show("read enormous", syscall(SYS_read, pair.b, data, (size_t)1 << 63));
    show("write enormous", syscall(SYS_write, pair.b, data, (size_t)1 << 63));
    ssize_t (*volatile plain_read)(int, void *, size_t) = read;
    ssize_t (*volatile plain_write)(int, const void *, size_t) = write;
    show("plain read of part", plain_read(pair.b, data, 2));
    show("plain read of rest", plain_read(pair.b, data, 2));
    show("plain write", plain_write(pair.b, "xyz", 3));
    until_readable(pair.a);
    show("plain read", plain_read(pair.a, data, 64));
    show("pread", pread(pair.b, data, 5, 0));
    show("lseek", lseek(pair.b, 0, SEEK_CUR));
    show("bad read", read(-1, data, five));
    show("bad write", write(100000, data, five));
    check("after", pair);
    close_pair(pair);
}

void vectors(struct pair pair) {
    char data[3][8];
    memset(data, 0, sizeof data);
    struct iovec out[] = {{"one", 3}, {NULL, 0}, {"two", 3}, {"three", 0}, {"end", 3}};
    struct iovec in[] = {{data[0], 4}, {NULL, 0}, {data[1], 4}, {data[2], 4}};
    show("writev", writev(pair.a, out, COUNT(out)));
    until_readable(pair.b);
    show("readv", readv(pair.b, in, COUNT(in)));
    say("%.4s %.4s %.4s", data[0], data[1], data[2]);

    char many_data[40][3];
    struct iovec many[40];
    for (int i = 0; i < 40; i++) {
        memset(many_data[i], 'a' + i % 26, 3);
        many[i] = (struct iovec){many_data[i], i % 7 ? 3 : 0};
    }
    show("writev of many", writev(pair.b, many, 40));
    memset(many_data, '.', sizeof many_data);
    until_readable(pair.a);
    show("readv of many", readv(pair.a, many, 40));
    say("%.120s", (char *)many_data);

    static struct iovec too_many[1025];
    show("readv of no buffers", readv(pair.b, in, 0));
    show("writev of no buffers", writev(pair.b, in, 0));
    show("readv of -1", readv(pair.b, in, -1));
    show("writev of -1", writev(pair.b, out, -1));
    show("readv of too many", readv(pair.b, too_many, 1025));
    show("writev of too many", writev(pair.b, too_many, 1025));
    show("writev of 1024 empty", writev(pair.b, too_many, 1024));
    show("readv of 1024 empty", readv(pair.b, too_many, 1024));
    show("writev from null list", writev(pair.b, NULL, 2));
    struct iovec wrong[] = {{data, (size_t)-1}, {data, 4}};
    show("writev of negative length", writev(pair.b, wrong, 2));
    show("readv of negative length", readv(pair.b, wrong, 2));
    struct iovec null[] = {{NULL, 4}};
    show("writev from null", writev(pair.b, null, 1));

    show("pwritev2", pwritev2(pair.a, out, COUNT(out), -1, 0));
    until_readable(pair.b);
    show("preadv2", preadv2(pair.b, in, COUNT(in), -1, 0));
    say("%.4s %.4s %.4s", data[0], data[1], data[2]);
    show("preadv2 without waiting", preadv2(pair.b, in, COUNT(in), -1, RWF_NOWAIT));
    show("preadv2 at 0", preadv2(pair.b, in, COUNT(in), 0, 0));
    show("pwritev2 at 0", pwritev2(pair.b, in, COUNT(in), 0, 0));
    show("preadv2 with unknown flags", preadv2(pair.b, in, COUNT(in), -1, 0x4000000));
    show("preadv", preadv(pair.b, in, COUNT(in), 0));
    check("after", pair);
    close_pair(pair);
}

void receiving(struct pair pair) {
    char data[64];
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    memset(data, 0, sizeof data);
    show("recv without waiting", recv(pair.b, data, five, MSG_DONTWAIT));
    show("send", send(pair.a, "abcdefghij", 10, 0));
    until_readable(pair.b);
    show("peek", recv(pair.b, data, five, MSG_PEEK));
    say("%s", data);
    show("recv", recv(pair.b, data, five, 0));
    say("%s", data);
    show("recvfrom", recvfrom(pair.b, data, 2, 0, (struct sockaddr *)&name, &length));
    say("%.2s name length %u", data, length);
    length = sizeof name;
    show("recvfrom without name", recvfrom(pair.b, data, 1, 0, NULL, &length));
    say("name length %u", length);
    length = 3;
    show("recvfrom peek", recvfrom(pair.b, data, five, MSG_PEEK, (struct sockaddr *)&name, &length));
    say("name length %u", length);
    show("discard", recv(pair.b, NULL, 1, MSG_TRUNC));
    show("recv of rest", recv(pair.b, data, five, MSG_DONTWAIT));
    say("%.1s", data);
    show("recv of nothing left", recv(pair.b, data, five, MSG_DONTWAIT));
    show("recv of nothing", recv(pair.b, data, 0, MSG_DONTWAIT));

    struct sockaddr_in elsewhere = {.sin_family = AF_INET, .sin_port = htons(9)};
    show("sendto a name", sendto(pair.a, "abcd", 4, MSG_NOSIGNAL, (struct sockaddr *)&elsewhere, sizeof elsewhere));
    show("send more", send(pair.a, "ef", 2, MSG_MORE));
    show("send the last", send(pair.a, "gh", 2, MSG_NOSIGNAL | MSG_DONTWAIT));
    show("wait for all", recv(pair.b, data, 8, MSG_WAITALL));
    say("%.8s", data);
    show("send null", send(pair.a, NULL, five, 0));
    show("send nothing", send(pair.a, NULL, 0, 0));
    show("send to nobody", send(-1, "x", 1, 0));
    show("recv on a listener", ({
             struct sockaddr_in where;
             int from = listener(&where);
             ssize_t result = recv(from, data, 1, 0);
             int error = errno;
             close(from);
             errno = error;
             result;
         }));
    show("recv on a new socket", ({
             int fresh = socket(AF_INET, SOCK_STREAM, 0);
             ssize_t result = recv(fresh, data, 1, 0);
             int error = errno;
             close(fresh);
             errno = error;
             result;
         }));
    put(pair.a, "12345678", 8);
    show("enormous recv", recv(pair.b, data, 8, MSG_WAITALL | MSG_PEEK));
    show("enormous recv", syscall(SYS_recvfrom, pair.b, data, 8, 0, NULL, NULL));
    check("after", pair);
    close_pair(pair);
}

/* Megabytes in both directions at once, in pieces of many sizes, with calls of all kinds. */
void bulk(struct pair pair) {
    enum { TOTAL = 6 << 20 };
    static unsigned char data[200000];
    pthread_t there = reader(pair.b, TOTAL), back = reader(pair.a, TOTAL);
    size_t sent = 0;
    for (unsigned step = 0; sent < TOTAL; step++) {
        static const size_t sizes[] = {1, 100, 4096, 65536, 3000, 199999, 17};
        size_t size = sizes[step % COUNT(sizes)];
        size = size < TOTAL - sent ? size : TOTAL - sent;
        fill(data, size, sent);
        struct iovec list[2] = {{data, size / 3}, {data + size / 3, size - size / 3}};
        struct msghdr message = {.msg_iov = list, .msg_iovlen = 2};
        int ends[2] = {pair.a, pair.b};
        for (int i = 0; i < 2; i++) {
            ssize_t result = step % 4 == 0   ? write(ends[i], data, size)
                             : step % 4 == 1 ? send(ends[i], data, size, 0)
                             : step % 4 == 2 ? writev(ends[i], list, 2)
                                             : sendmsg(ends[i], &message, 0);
            if (result != (ssize_t)size)
                show("short", result);
        }
        sent += size;
    }
    finish(there);
    finish(back);
    check("after", pair);
    close_pair(pair);
}
