/* Runs a program in another root directory and notes how long it took.
 *
 *   timed FILE ROOT PROGRAM [ARGUMENT...]
 *
 * Writes `wall_us cpu_us` to FILE; the CPU time is the program's and its children's.  ROOT gets this system's /dev and
 * /proc, if that is allowed, seen by the program only; who may not change the root directory does it in a user
 * namespace.  The exit status is the program's, 128 + signal as in a shell, or 125 if it could not be started.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOT_STARTED = 125 };

static void die(const char *what)
{
    perror(what);
    _exit(NOT_STARTED);
}

static void write_map(const char *path, unsigned id)
{
    FILE *f = fopen(path, "w");
    if (!f || fprintf(f, "0 %u 1", id) < 0 || fclose(f))
        die(path);
}

static void become_root(void)
{
    unsigned uid = geteuid();
    if (uid == 0)
        return;
    if (unshare(CLONE_NEWUSER))
        die("a user namespace");
    write_map("/proc/self/uid_map", uid);
}

static void bind(const char *root, const char *directory)
{
    char path[4096];
    snprintf(path, sizeof path, "%s%s", root, directory);
    /* Many programs do without. */
    if (mount(directory, path, NULL, MS_BIND | MS_REC, NULL))
        perror(path);
}

static void change_root(const char *root)
{
    become_root();
    if (!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
        bind(root, "/dev");
        bind(root, "/proc");
    }
    if (chroot(root) || chdir("/tmp"))
        die(root);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static uint64_t cpu_us(void)
{
    struct rusage r;
    getrusage(RUSAGE_CHILDREN, &r);
    return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000u +
           (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    FILE *note;
    uint64_t wall;
    int status;
    pid_t pid;
    if (argc < 4) {
        fprintf(stderr, "usage: %s FILE ROOT PROGRAM [ARGUMENT...]\n", argv[0]);
        return NOT_STARTED;
    }
    /* The directory it is in is out of reach later. */
    note = fopen(argv[1], "we");
    if (!note)
        die(argv[1]);
    change_root(argv[2]);
    /* Whoever waits for it may be interrupted. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    wall = now_us();
    pid = fork();
    if (pid < 0)
        die("fork");
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[3], argv + 3);
        die(argv[3]);
    }
    if (waitpid(pid, &status, 0) != pid)
        die("waitpid");
    wall = now_us() - wall;
    if (fprintf(note, "%llu %llu\n", (unsigned long long)wall, (unsigned long long)cpu_us()) < 0 || fclose(note))
        die(argv[1]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
