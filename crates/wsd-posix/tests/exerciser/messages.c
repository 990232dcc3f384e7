#include "exerciser.h"

static void send_message(struct pair pair, int flags) {
    struct sockaddr_in name = {.sin_family = AF_INET};
    struct iovec list[] = {{"some", 4}, {NULL, 0}, {" message", 8}};
    struct msghdr message = {.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = list, .msg_iovlen = COUNT(list)};
    show("sendmsg", sendmsg(pair.a, &message, flags));
    until_readable(pair.b);
}

void messages(struct pair pair) {
    struct sockaddr_in name;
    char data[2][10], control[64];
    struct iovec list[] = {{data[0], 5}, {NULL, 0}, {data[1], 10}};
    struct msghdr message = {.msg_iov = list, .msg_iovlen = COUNT(list), .msg_namelen = 7, .msg_flags = -1};
    memset(data, 0, sizeof data);
    send_message(pair, 0);
    show("recvmsg", recvmsg(pair.b, &message, 0));
    say("%.5s|%.7s name %u control %zu flags %x", data[0], data[1], message.msg_namelen, message.msg_controllen,
        message.msg_flags);

    send_message(pair, MSG_NOSIGNAL);
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    show("recvmsg with name and control", recvmsg(pair.b, &message, MSG_CMSG_CLOEXEC));
    say("name %u control %zu flags %x", message.msg_namelen, message.msg_controllen, message.msg_flags);

    message.msg_namelen = sizeof name;
    message.msg_controllen = 0;
    show("recvmsg without waiting", recvmsg(pair.b, &message, MSG_DONTWAIT));
    say("name %u flags %x", message.msg_namelen, message.msg_flags);
    send_message(pair, 0);
    show("recvmsg peek", recvmsg(pair.b, &message, MSG_PEEK));
    show("recvmsg all", recvmsg(pair.b, &message, MSG_WAITALL | MSG_DONTWAIT));

    message.msg_iovlen = 1025;
    show("recvmsg of too many", recvmsg(pair.b, &message, 0));
    show("sendmsg of too many", sendmsg(pair.b, &message, 0));
    message.msg_iovlen = 0;
    show("sendmsg of no buffers", sendmsg(pair.b, &(struct msghdr){0}, 0));
    show("recvmsg of no buffers", recvmsg(pair.b, &message, MSG_DONTWAIT));
    show("sendmsg from null list", sendmsg(pair.b, &(struct msghdr){.msg_iovlen = 1}, 0));
    show("sendmsg of null", sendmsg(pair.b, NULL, 0));
    show("recvmsg of null", recvmsg(pair.b, NULL, MSG_DONTWAIT));

    /* Control messages that the kernel knows, and that it refuses. */
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } extra = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec one = {"x", 1};
    struct msghdr with = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = &extra, .msg_controllen = sizeof extra};
    extra.header.cmsg_type = 9999;
    show("sendmsg with unknown control", sendmsg(pair.a, &with, 0));
    check("after", pair);
    close_pair(pair);
}

/* Waits until `bytes` can be read. */
static void until_there(int fd, int bytes) {
    int there = 0;
    for (int i = 0; i < 1000 && ioctl(fd, FIONREAD, &there) == 0 && there != bytes; i++)
        pause_ms(10);
    if (there != bytes)
        fail("not all is there");
}

void many_messages(struct pair pair) {
    char data[4][4];
    struct iovec list[4], out[3] = {{"aaaa", 4}, {"bbbb", 4}, {"cccc", 4}};
    struct mmsghdr in[4], to[3];
    memset(in, 0, sizeof in);
    memset(to, 0, sizeof to);
    for (int i = 0; i < 4; i++) {
        list[i] = (struct iovec){data[i], 4};
        in[i].msg_hdr.msg_iov = &list[i];
        in[i].msg_hdr.msg_iovlen = 1;
    }
    for (int i = 0; i < 3; i++) {
        to[i].msg_hdr.msg_iov = &out[i];
        to[i].msg_hdr.msg_iovlen = 1;
    }
    show("recvmmsg without waiting", recvmmsg(pair.b, in, 4, MSG_DONTWAIT, NULL));
    show("sendmmsg", sendmmsg(pair.a, to, 3, 0));
    say("lengths %u %u %u", to[0].msg_len, to[1].msg_len, to[2].msg_len);
    until_there(pair.b, 12);
    show("recvmmsg waiting for one", recvmmsg(pair.b, in, 4, MSG_WAITFORONE, NULL));
    say("lengths %u %u %u %.4s%.4s%.4s", in[0].msg_len, in[1].msg_len, in[2].msg_len, data[0], data[1], data[2]);

    show("sendmmsg", sendmmsg(pair.a, to, 3, MSG_NOSIGNAL));
    until_there(pair.b, 12);
    struct timespec none = {0, 0};
    show("recvmmsg with no time", recvmmsg(pair.b, in, 4, 0, &none));
    struct timespec some = {5, 0};
    show("recvmmsg of two", recvmmsg(pair.b, in, 2, 0, &some));
    say("time left %d", some.tv_sec < 5);
    struct timespec wrong = {0, -1};
    show("recvmmsg with a wrong time", recvmmsg(pair.b, in, 2, 0, &wrong));
    show("recvmmsg of none", recvmmsg(pair.b, in, 0, 0, NULL));
    show("sendmmsg of none", sendmmsg(pair.b, to, 0, 0));

    put(pair.a, "tail", 4);
    shutdown(pair.a, SHUT_WR);
    pause_ms(20);
    show("recvmmsg to the end", recvmmsg(pair.b, in, 4, 0, NULL));
    say("lengths %u %u %u %u", in[0].msg_len, in[1].msg_len, in[2].msg_len, in[3].msg_len);
    show("recvmmsg bad", recvmmsg(-1, in, 4, 0, NULL));
    show("sendmmsg bad", sendmmsg(-1, to, 3, 0));
    close(pair.b);
    show("sendmmsg after close", sendmmsg(pair.a, to, 3, MSG_NOSIGNAL));
    close(pair.a);
}

void urgent(struct pair pair) {
    char data[16];
    int mark = -1;
    memset(data, 0, sizeof data);
    put(pair.a, "before", 6);
    show("send urgent", send(pair.a, "!", 1, MSG_OOB));
    put(pair.a, "after", 5);
    pause_ms(20);
    struct pollfd entry = {pair.b, POLLIN | POLLPRI, 0};
    show("poll", poll(&entry, 1, 1000));
    say("events %x", entry.revents);
    show("at mark", sockatmark(pair.b));
    show("read to the mark", read(pair.b, data, sizeof data));
    say("%s", data);
    show("at mark", sockatmark(pair.b));
    show("request", ioctl(pair.b, SIOCATMARK, &mark));
    say("mark %d", mark);
    show("urgent byte", recv(pair.b, data, 1, MSG_OOB));
    say("%c", data[0]);
    show("urgent byte again", recv(pair.b, data, 1, MSG_OOB));
    memset(data, 0, sizeof data);
    show("read on", read(pair.b, data, sizeof data));
    say("%s", data);
    int on = 1;
    show("inline", setsockopt(pair.b, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
    show("send urgent", send(pair.a, "ab", 2, MSG_OOB));
    pause_ms(20);
    memset(data, 0, sizeof data);
    show("read", read(pair.b, data, sizeof data));
    show("read", recv(pair.b, data + 8, 1, MSG_DONTWAIT));
    say("%s %s", data, data + 8);
    show("urgent byte", recv(pair.b, data, 1, MSG_OOB));
    check("after", pair);
    close_pair(pair);
}

static ssize_t send_fd(int over, int fd, int many) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    struct iovec one = {"x", 1};
    struct mmsghdr message = {.msg_hdr = {&(int){0}, 0, &one, 1, &control, sizeof control, 0}};
    message.msg_hdr.msg_name = NULL;
    return many ? sendmmsg(over, &message, 1, 0) : sendmsg(over, &message.msg_hdr, 0);
}

static int receive_fd(int over, int many) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control;
    char data;
    struct iovec one = {&data, 1};
    struct mmsghdr message = {.msg_hdr = {NULL, 0, &one, 1, &control, sizeof control, 0}};
    ssize_t result = many ? recvmmsg(over, &message, 1, 0, NULL) : recvmsg(over, &message.msg_hdr, MSG_CMSG_CLOEXEC);
    if (result != 1)
        return -1;
    int fd;
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    return fd;
}

void passing(struct pair pair) {
    int link[2];
    show("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, link));
    for (int many = 0; many < 2; many++) {
        show("pass", send_fd(link[0], pair.b, many));
        int copy = receive_fd(link[1], many);
        say("received %d", copy >= 0 && copy != pair.b);
        check("before the original is closed", pair);
        close(pair.b);
        pair.b = copy;
        check("over the copy", pair);
    }
    /* A number that was a connection a moment ago comes back as something else. */
    int other = open("/dev/null", O_RDWR), number;
    ssize_t passed;
    /* In a process with threads another one may take the number first: then once more. */
    for (int tries = 20;;) {
        passed = send_fd(link[0], other, 0);
        number = pair.b;
        close(pair.b);
        pair.b = receive_fd(link[1], 0);
        if (pair.b == number || --tries == 0)
            break;
        close_pair(pair);
        pair = connected();
    }
    show("pass another", passed);
    say("same number %d", number == pair.b);
    show("write to it", write(pair.b, "abc", 3));
    show("read from it", read(pair.b, &number, 3));
    close(other);
    close(link[0]);
    close(link[1]);
    close_pair(pair);
}
