#include "report.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

static void wait_all(int e, int timeout) {
    struct epoll_event events[8];
    int n = epoll_wait(e, events, 8, timeout);
    report("epoll_wait", n);
    for (int i = 0; i < n; i++) printf("  %x %d\n", events[i].events, events[i].data.fd);
}

static void control(int e, int operation, int fd, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    report("epoll_ctl", epoll_ctl(e, operation, fd, &event));
}

// Of several sets that wait for one file only some are to be told: asked for in the beginning or not at all.
static void exclusive(void) {
    int e = epoll_create1(0), outer = epoll_create1(0), other = epoll_create1(0), event = eventfd(1, 0);
    control(outer, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLEXCLUSIVE);
    control(e, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT);
    control(e, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLEXCLUSIVE | EPOLLPRI);
    control(e, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP);
    control(e, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE | EPOLLET | EPOLLWAKEUP);
    control(e, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLEXCLUSIVE);
    wait_all(e, 0);
    control(e, EPOLL_CTL_MOD, event, EPOLLIN);
    control(e, EPOLL_CTL_MOD, event, EPOLLIN | EPOLLEXCLUSIVE);
    control(e, EPOLL_CTL_DEL, event, EPOLLIN | EPOLLEXCLUSIVE);
    control(e, EPOLL_CTL_MOD, event, EPOLLIN | EPOLLEXCLUSIVE);
    control(other, EPOLL_CTL_ADD, event, EPOLLIN);
    control(other, EPOLL_CTL_MOD, event, EPOLLIN | EPOLLEXCLUSIVE);
    wait_all(other, 0);
    close(e), close(outer), close(other), close(event);
}

int main(void) {
    exclusive();
    int e = TRY(epoll_create1(EPOLL_CLOEXEC)), p[2];
    pipe2(p, O_NONBLOCK);
    control(e, EPOLL_CTL_ADD, p[0], EPOLLIN);
    control(e, EPOLL_CTL_ADD, p[0], EPOLLIN);
    control(e, EPOLL_CTL_MOD, p[1], EPOLLOUT);
    control(e, EPOLL_CTL_ADD, p[1], EPOLLOUT | EPOLLET);
    control(e, EPOLL_CTL_ADD, e, EPOLLIN);
    control(e, EPOLL_CTL_ADD, 99, EPOLLIN);
    control(99, EPOLL_CTL_ADD, p[0], EPOLLIN);
    int file = open("/tmp/epoll-file", O_CREAT | O_RDWR, 0600);
    control(e, EPOLL_CTL_ADD, file, EPOLLIN);
    unlink("/tmp/epoll-file");
    wait_all(e, 0);
    wait_all(e, 0);
    write(p[1], "ab", 2);
    wait_all(e, 0);
    wait_all(e, 10);
    char c;
    read(p[0], &c, 1);
    wait_all(e, 0);
    control(e, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT);
    wait_all(e, 0);
    wait_all(e, 0);
    control(e, EPOLL_CTL_MOD, p[0], EPOLLIN);
    wait_all(e, 0);
    control(e, EPOLL_CTL_DEL, p[1], 0);
    close(p[1]);
    wait_all(e, 0);
    read(p[0], &c, 1);
    wait_all(e, 0);
    close(p[0]);
    wait_all(e, 0);
    int outer = epoll_create1(0), event = eventfd(0, 0);
    control(e, EPOLL_CTL_ADD, event, EPOLLIN);
    control(outer, EPOLL_CTL_ADD, e, EPOLLIN);
    control(e, EPOLL_CTL_ADD, outer, EPOLLIN);
    if (fork() == 0) {
        usleep(10000);
        eventfd_write(event, 1);
        _exit(0);
    }
    wait_all(outer, 1000);
    wait_all(e, 1000);
    struct epoll_event events[1];
    TRY(epoll_wait(e, events, 0, 0));
    TRY(epoll_wait(file, events, 1, 0));
    TRY(epoll_ctl(file, EPOLL_CTL_ADD, file, events));
    TRY(epoll_ctl(event, EPOLL_CTL_ADD, file, events));
    TRY(epoll_ctl(event, EPOLL_CTL_ADD, event, events));
    wait(NULL);
    return 0;
}
