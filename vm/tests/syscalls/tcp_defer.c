// TCP_DEFER_ACCEPT: a listener is told of a connection when something has come through it.
#include "loopback.h"

static int listener_with(int seconds, int backlog) {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    BIND4(s, "127.0.0.1", 0);
    set(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, seconds);
    listen(s, backlog);
    return s;
}

static int client_of(int listener) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CONNECT4(s, "127.0.0.1", port_of(listener));
    return s;
}

// What the table says of sockets at a listener's port: how many are in which state.
static void show_states(int listener) {
    char line[300], port[10];
    int states[16] = {0};
    snprintf(port, sizeof port, ":%04X ", port_of(listener));
    FILE *f = fopen("/proc/net/tcp", "r");
    while (fgets(line, sizeof line, f)) {
        unsigned state;
        char *at = strstr(line, port);
        if (at && at - line < 20 && sscanf(line + 34, "%x", &state) == 1 && state < 16) states[state]++;
    }
    fclose(f);
    for (int i = 0; i < 16; i++)
        if (states[i]) printf("state %d: %d\n", i, states[i]);
}

static void seconds(void) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    int values[] = {0, 1, 2, 3, 4, 5, 7, 8, 60, 127, 128, 1000, 100000, -1, 0x7fffffff};
    for (int i = 0; i < 15; i++) {
        TRY(set(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, values[i]));
        TRY(option(s, IPPROTO_TCP, TCP_DEFER_ACCEPT));
    }
    close(s);
}

static void by_data(void) {
    int listener = listener_with(60, 5), client = client_of(listener);
    show_events(listener);
    TRY(accept(listener, NULL, NULL));
    show_events(client);
    show_names(client);
    show_states(listener);
    TRY(write(client, "hello", 5));
    show_events(listener);
    int server = TRY(accept(listener, NULL, NULL));
    char buf[10];
    TRY(read(server, buf, 10));
    TRY(option(server, IPPROTO_TCP, TCP_DEFER_ACCEPT));
    TRY(write(server, "back", 4));
    TRY(read(client, buf, 10));
    show_states(listener);
    close(client);
    close(server);
    close(listener);
}

static void by_end(void) {
    int listener = listener_with(60, 5), client = client_of(listener);
    TRY(shutdown(client, SHUT_WR));
    show_events(listener);
    int server = TRY(accept(listener, NULL, NULL));
    char buf[10];
    TRY(read(server, buf, 10));
    close(server);
    close(client);
    // Gone before anything came.
    client = client_of(listener);
    close(client);
    show_events(listener);
    server = TRY(accept(listener, NULL, NULL));
    TRY(read(server, buf, 10));
    close(server);
    client = client_of(listener);
    struct linger now = {1, 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(client);
    TRY(accept(listener, NULL, NULL));
    show_events(listener);
    close(listener);
}

static void by_time(void) {
    int listener = listener_with(1, 5), client = client_of(listener);
    TRY(accept(listener, NULL, NULL));
    struct pollfd f = {listener, POLLIN, 0};
    TRY(poll(&f, 1, 60000));
    int server = TRY(accept(listener, NULL, NULL));
    fcntl(server, F_SETFL, O_NONBLOCK);
    char buf[10];
    TRY(read(server, buf, 10));
    close(server);
    close(client);
    close(listener);
}

// Those that show up first are accepted first.
static void order(void) {
    int listener = listener_with(60, 5), one = client_of(listener), two = client_of(listener);
    char buf[10];
    TRY(write(two, "two", 3));
    TRY(write(one, "first", 5));
    for (int i = 0; i < 2; i++) {
        int server = TRY(accept(listener, NULL, NULL));
        TRY(read(server, buf, 10));
        close(server);
    }
    TRY(accept(listener, NULL, NULL));
    int three = client_of(listener);
    close(listener);
    TRY(write(three, "late", 4));
    close(one);
    close(two);
    close(three);
}

int main(void) {
    seconds();
    by_data();
    by_end();
    by_time();
    order();
    return 0;
}
