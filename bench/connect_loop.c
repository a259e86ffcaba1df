/* The yardstick of bench/matrix.py: a full TCP reach matrix as a plain loop in C.
 *
 * Standard input has one edge a line, sorted by source: "FD ADDRESS PORT", where FD is an inherited descriptor of the source's
 * network namespace.  Enters each source once, connects without blocking, at most ABREAST at a time, waits by epoll, closes with
 * RST.  Prints "SECONDS OPEN FAILED".  With an argument "one ADDRESS PORT" it makes that single connection where it is and
 * exits 0 if it was open: the smallest probe that nsenter could start.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ABREAST 1024
#define MOST 100000

struct edge { int space; struct sockaddr_in to; };

static struct edge edges[MOST];
static int open_edges, failed, flying, poller;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void end(int fd, int error)
{
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    if (error) failed++; else open_edges++;
}

static void reap(int timeout)
{
    struct epoll_event events[256];
    int n = epoll_wait(poller, events, 256, timeout);
    if (n <= 0 && timeout > 0) { fprintf(stderr, "nothing happened for %d ms\n", timeout); exit(1); }
    for (int i = 0; i < n; i++) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(events[i].data.fd, SOL_SOCKET, SO_ERROR, &error, &size);
        end(events[i].data.fd, error);
        flying--;
    }
}

static struct sockaddr_in address(const char *text, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, text, &to.sin_addr) != 1) { fprintf(stderr, "%s is no address\n", text); exit(2); }
    return to;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "one")) {
        struct sockaddr_in to = address(argv[2], atoi(argv[3]));
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        return connect(fd, (struct sockaddr *)&to, sizeof to) != 0;
    }
    int count = 0, space, port, inside = -1;
    char text[64];
    while (count < MOST && scanf("%d %63s %d", &space, text, &port) == 3)
        edges[count++] = (struct edge){space, address(text, port)};
    poller = epoll_create1(0);
    double began = now();
    for (int i = 0; i < count; i++) {
        if (edges[i].space != inside) {
            if (setns(edges[i].space, CLONE_NEWNET)) { perror("setns"); return 1; }
            inside = edges[i].space;
        }
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (fd < 0) { perror("socket"); return 1; }
        if (connect(fd, (struct sockaddr *)&edges[i].to, sizeof edges[i].to) == 0) { end(fd, 0); continue; }
        if (errno != EINPROGRESS) { end(fd, errno); continue; }
        struct epoll_event event = {.events = EPOLLOUT, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
        flying++;
        while (flying >= ABREAST) reap(2000);
    }
    while (flying) reap(2000);
    printf("%.6f %d %d\n", now() - began, open_edges, failed);
    return 0;
}
