/* A provider that costs almost nothing: the same response to every request, as fast as the client takes it.
 *
 * replay PORT FILE
 * Listens at 127.0.0.1:PORT and prints `ready`. FILE is a whole HTTP response. A request is over when its body is here,
 * by its content-length; requests of one connection come one at a time. One epoll loop, writes as large as the socket
 * takes. It ends at SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 1 << 16, BATCH = 256 };

typedef struct {
  int fd;
  size_t got;  /* bytes of the present request */
  size_t left; /* bytes of the response that are not yet written */
  char request[ROOM];
} Stream;

static char *response;
static size_t response_size;
static int loop;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void read_response(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) die(path);
  fseek(file, 0, SEEK_END);
  response_size = (size_t)ftell(file);
  rewind(file);
  response = malloc(response_size);
  if (fread(response, 1, response_size, file) != response_size) die(path);
  fclose(file);
}

static void watch(Stream *stream, int operation, unsigned what) {
  struct epoll_event event = {.events = what, .data.ptr = stream};
  if (epoll_ctl(loop, operation, stream->fd, &event)) die("epoll_ctl");
}

static void end(Stream *stream) {
  close(stream->fd);
  free(stream);
}

static void take(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
  if (fd < 0) return;
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  Stream *stream = calloc(1, sizeof *stream);
  stream->fd = fd;
  watch(stream, EPOLL_CTL_ADD, EPOLLIN);
}

/* Whether the request is whole. */
static int whole(Stream *stream) {
  stream->request[stream->got] = 0;
  char *body = strstr(stream->request, "\r\n\r\n");
  char *length = strcasestr(stream->request, "content-length:");
  return body && length && stream->got >= (size_t)(body + 4 - stream->request) + strtoul(length + 15, NULL, 10);
}

static void reply(Stream *stream) {
  while (stream->left) {
    ssize_t sent = send(stream->fd, response + response_size - stream->left, stream->left, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      watch(stream, EPOLL_CTL_MOD, EPOLLOUT);
      return;
    }
    if (sent < 0) {
      end(stream);
      return;
    }
    stream->left -= (size_t)sent;
  }
  watch(stream, EPOLL_CTL_MOD, EPOLLIN);
}

static void hear(Stream *stream) {
  ssize_t got = recv(stream->fd, stream->request + stream->got, ROOM - 1 - stream->got, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    end(stream);
    return;
  }
  stream->got += (size_t)got;
  if (!whole(stream)) return;
  stream->got = 0;
  stream->left = response_size;
  reply(stream);
}

static int listener_at(int port) {
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  inet_pton(AF_INET, "127.0.0.1", &place.sin_addr);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&place, sizeof place) || listen(listener, 4096)) die("listen");
  return listener;
}

int main(int count, char **words) {
  if (count != 3) {
    fprintf(stderr, "replay PORT FILE\n");
    return 2;
  }
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  read_response(words[2]);
  int listener = listener_at(atoi(words[1]));
  loop = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[BATCH];
  if (epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event)) die("epoll_ctl");
  puts("ready");
  fflush(stdout);
  for (;;) {
    int ready = epoll_wait(loop, events, BATCH, -1);
    for (int i = 0; i < ready; i++) {
      Stream *stream = events[i].data.ptr;
      if (!stream) take(listener);
      else if (events[i].events & EPOLLIN) hear(stream);
      else if (stream->left) reply(stream);
      else end(stream);
    }
  }
}
