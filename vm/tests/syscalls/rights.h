// Sending files (SCM_RIGHTS).
#include "report.h"
#include <sys/socket.h>
#include <sys/un.h>

enum { PASSED_MAX = 253 };

// Sends files with one byte.
static int pass(int s, const int *fds, int count) {
    char byte = 'f', control[CMSG_SPACE((PASSED_MAX + 1) * sizeof(int))] = {0};
    struct iovec v = {&byte, 1};
    size_t len = count * sizeof(int);
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(len)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(len)};
    memcpy(CMSG_DATA(c), fds, len);
    return sendmsg(s, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}
