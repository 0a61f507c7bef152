// What a process says about itself with prctl(2).
#include "report.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define P(...) TRY(prctl(__VA_ARGS__))

static void *in_a_thread(void *unused) {
    P(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    P(PR_SET_TIMERSLACK, 70000, 0, 0, 0);
    P(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    P(PR_GET_KEEPCAPS, 0, 0, 0, 0);
    P(PR_SET_TIMERSLACK, 0, 0, 0, 0);
    P(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    return NULL;
}

static void timer_slack(void) {
    pthread_t thread;
    P(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    P(PR_SET_TIMERSLACK, 60000, 0, 0, 0);
    P(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    pthread_create(&thread, NULL, in_a_thread, NULL);
    pthread_join(thread, NULL);
    P(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    if (fork() == 0) {
        P(PR_GET_TIMERSLACK, 0, 0, 0, 0);
        _exit(0);
    }
    wait(NULL);
}

static void huge_pages(void) {
    P(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    P(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    P(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    if (fork() == 0) {
        P(PR_GET_THP_DISABLE, 0, 0, 0, 0);
        _exit(0);
    }
    wait(NULL);
    P(PR_SET_THP_DISABLE, 0, 0, 0, 0);
    P(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    P(PR_SET_THP_DISABLE, 0, 0, 0, 5);
    P(PR_GET_THP_DISABLE, 0, 0, 0, 5);
}

static void machine_checks(void) {
    P(PR_MCE_KILL_GET, 0, 0, 0, 0);
    P(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
    P(PR_MCE_KILL_GET, 0, 0, 0, 0);
    P(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_LATE, 0, 0);
    P(PR_MCE_KILL_GET, 0, 0, 0, 0);
    P(PR_MCE_KILL, PR_MCE_KILL_SET, 7, 0, 0);
    P(PR_MCE_KILL, 7, 0, 0, 0);
    P(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0);
    P(PR_MCE_KILL_GET, 0, 0, 0, 0);
    P(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 1, 0, 0);
    P(PR_MCE_KILL_GET, 1, 0, 0, 0);
}

static void capabilities(void) {
    P(PR_GET_KEEPCAPS, 0, 0, 0, 0);
    P(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    P(PR_GET_KEEPCAPS, 0, 0, 0, 0);
    P(PR_GET_SECUREBITS, 0, 0, 0, 0);
    P(PR_SET_KEEPCAPS, 2, 0, 0, 0);
    P(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    P(PR_GET_KEEPCAPS, 0, 0, 0, 0);
    P(PR_CAPBSET_READ, 0, 0, 0, 0);
    P(PR_CAPBSET_READ, 40, 0, 0, 0);
    P(PR_CAPBSET_READ, 64, 0, 0, 0);
    P(PR_CAPBSET_DROP, 64, 0, 0, 0);
    P(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 3, 0, 0);
    P(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    P(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0);
    P(PR_CAP_AMBIENT, 9, 0, 0, 0);
}

static void others(void) {
    int number = 77;
    P(PR_GET_TSC, &number, 0, 0, 0);
    printf("%d\n", number);
    P(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0);
    P(PR_SET_TSC, 5, 0, 0, 0);
    P(PR_TASK_PERF_EVENTS_DISABLE, 0, 0, 0, 0);
    P(PR_TASK_PERF_EVENTS_ENABLE, 0, 0, 0, 0);
    P(PR_GET_TIMING, 0, 0, 0, 0);
    P(PR_SET_TIMING, 0, 0, 0, 0);
    P(PR_SET_TIMING, 1, 0, 0, 0);
    P(PR_GET_ENDIAN, &number, 0, 0, 0);
    P(PR_GET_FPEXC, &number, 0, 0, 0);
    P(PR_GET_UNALIGN, &number, 0, 0, 0);
    P(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    P(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 1);
    P(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
    P(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0);
    P(PR_SET_DUMPABLE, 2, 0, 0, 0);
    P(PR_GET_DUMPABLE, 0, 0, 0, 0);
    P(PR_SET_PDEATHSIG, 65, 0, 0, 0);
    P(PR_SET_NAME, 8, 0, 0, 0);
    P(PR_GET_NAME, 8, 0, 0, 0);
    P(1000, 0, 0, 0, 0);
}

int main(void) {
    timer_slack();
    huge_pages();
    machine_checks();
    capabilities();
    others();
    return 0;
}
