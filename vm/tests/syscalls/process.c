#include "report.h"
#include <sys/prctl.h>
#include <sys/resource.h>

static void show(const char *what, int status) {
    if (WIFEXITED(status)) printf("%s exited %d\n", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status)) printf("%s killed %d\n", what, WTERMSIG(status));
    else if (WIFSTOPPED(status)) printf("%s stopped %d\n", what, WSTOPSIG(status));
    else if (WIFCONTINUED(status)) printf("%s continued\n", what);
    fflush(stdout);
}

int main(int argc, char **argv) {
    int status;
    if (argc > 1) {
        printf("%s %s %d %d\n", argv[1], getenv("X") ? getenv("X") : "-", fcntl(50, F_GETFD), fcntl(51, F_GETFD));
        return 9;
    }
    TRY(wait(&status));
    TRY(waitpid(1, &status, 0));
    // The child ends only when it has been seen to go on.
    int go[2];
    char byte;
    pipe(go);
    pid_t pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        read(go[0], &byte, 1);
        _exit(5);
    }
    TRY(waitpid(pid, &status, WUNTRACED) == pid);
    show("child", status);
    TRY(waitpid(pid, &status, WUNTRACED | WNOHANG));
    TRY(kill(pid, SIGCONT));
    TRY(waitpid(pid, &status, WCONTINUED) == pid);
    show("child", status);
    write(go[1], "g", 1);
    TRY(waitpid(pid, &status, 0) == pid);
    show("child", status);
    TRY(kill(pid, 0));
    if ((pid = fork()) == 0) {
        for (;;) pause();
    }
    TRY(kill(pid, SIGTERM));
    siginfo_t info;
    memset(&info, 0, sizeof info);
    TRY(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    printf("%d %d %d %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == pid);
    TRY(waitid(P_PID, pid, &info, WEXITED));
    TRY(waitid(P_PID, pid, &info, WEXITED));
    if ((pid = fork()) == 0) {
        dup2(1, 50);
        dup3(1, 51, O_CLOEXEC);
        char *args[] = {argv[0], "again", NULL}, *env[] = {"X=y", NULL};
        execve("/proc/self/exe", args, env);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    show("exec", status);
    if ((pid = vfork()) == 0) _exit(4);
    waitpid(pid, &status, 0);
    show("vfork", status);
    char *none[] = {NULL};
    TRY(execve("/nonexistent", none, none));
    TRY(execve("/tmp", none, none));
    int fd = open("/tmp/process-script", O_CREAT | O_WRONLY | O_TRUNC, 0755);
    write(fd, "garbage", 7);
    close(fd);
    TRY(execve("/tmp/process-script", none, none));
    fd = open("/tmp/process-script", O_WRONLY | O_TRUNC);
    write(fd, "#!/nonexistent/interpreter\n", 27);
    close(fd);
    TRY(execve("/tmp/process-script", none, none));
    unlink("/tmp/process-script");
    TRY(getpgid(0) == getpgrp());
    if ((pid = fork()) == 0) {
        TRY(setsid() == getpid());
        TRY(setsid());
        TRY(setpgid(0, 0));
        TRY(getsid(0) == getpid());
        _exit(0);
    }
    waitpid(pid, &status, 0);
    TRY(setpgid(0, 99999));
    TRY(getpgid(99999));
    char name[17];
    TRY(prctl(PR_SET_NAME, "a name that is too long"));
    TRY(prctl(PR_GET_NAME, name));
    printf("%s\n", name);
    struct rlimit limit;
    TRY(getrlimit(RLIMIT_STACK, &limit));
    limit = (struct rlimit){10, 20};
    TRY(setrlimit(RLIMIT_NOFILE, &limit));
    TRY(dup2(1, 15));
    TRY(getrlimit(99, &limit));
    TRY(kill(99999, SIGTERM));
    TRY(kill(getpid(), 99));
    if ((pid = fork()) == 0) *(volatile int *)0 = 1;
    waitpid(pid, &status, 0);
    show("null", status);
    if ((pid = fork()) == 0) abort();
    waitpid(pid, &status, 0);
    show("abort", status);
    // An orphan is adopted, and its parent's end does not end it.
    int p[2];
    pipe(p);
    if (fork() == 0) {
        if (fork() == 0) {
            usleep(20000);
            write(p[1], "o", 1);
            _exit(0);
        }
        _exit(0);
    }
    wait(&status);
    TRY(read(p[0], &byte, 1));
    TRY(wait(&status));
    return 0;
}
