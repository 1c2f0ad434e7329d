/* The floor: what it costs to receive the streams and stamp every read, with as little else as possible.
 *
 * floor PORT STREAMS DURATION_S OUT
 * Opens STREAMS kept-alive connections to 127.0.0.1:PORT and sends request after request on each until DURATION_S
 * have passed; those under way are finished. One epoll loop; each read is stamped with CLOCK_MONOTONIC and its events
 * are counted by a search for the blank line that ends them. Afterwards one JSON line a request is written to OUT:
 * id, start_ns, event_ns (of the content events: the first event carries the role, two or three follow the content).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { TOKENS = 128, BUFFER = 1 << 18, ID = 48, BATCH = 256 };

typedef struct {
  char id[ID];
  long start_ns;
  long event_ns[TOKENS];
  int events; /* all of them, the role's too */
} Request;

typedef struct {
  int fd;
  char last; /* the last byte of the read before: an event's end may be split */
  char tail[8];
  Request *request;
} Stream;

static char message[4096];
static size_t message_size;
static char buffer[BUFFER];
static Request **done;
static size_t done_count, done_room;

static long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void make_message(int port) {
  char body[2048];
  size_t used = (size_t)sprintf(body, "{\"model\":\"bench\",\"max_tokens\":%d,\"stream\":true,"
    "\"stream_options\":{\"include_usage\":true},\"messages\":[{\"role\":\"user\",\"content\":\"", TOKENS);
  for (int word = 0; word < 32; word++) used += (size_t)sprintf(body + used, "word ");
  used += (size_t)sprintf(body + used, "\"}]}");
  message_size = (size_t)sprintf(message, "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"
    "content-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", port, used, body);
}

static void ask(Stream *stream) {
  stream->request = calloc(1, sizeof(Request));
  if (stream->request == NULL) die("calloc");
  stream->last = 0;
  memset(stream->tail, 0, sizeof stream->tail);
  stream->request->start_ns = now_ns();
  if (send(stream->fd, message, message_size, MSG_NOSIGNAL) != (ssize_t)message_size) die("send");
}

static void open_stream(Stream *stream, int epoll, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int yes = 1;
  stream->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (stream->fd < 0 || connect(stream->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = stream};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, stream->fd, &event) < 0) die("epoll_ctl");
}

static void keep(Request *request) {
  if (done_count == done_room) {
    done_room = done_room ? done_room * 2 : 1024;
    done = realloc(done, done_room * sizeof *done);
    if (done == NULL) die("realloc");
  }
  done[done_count++] = request;
}

static void read_id(Request *request, const char *data, size_t size) {
  static const char mark[] = "\r\nx-request-id: ";
  const char *found = memmem(data, size, mark, sizeof mark - 1);
  if (found == NULL) return;
  found += sizeof mark - 1;
  for (int i = 0; i < ID - 1 && found + i < data + size && found[i] != '\r'; i++) request->id[i] = found[i];
}

static void count_event(Request *request, long t_ns) {
  int content = request->events++ - 1;
  if (content >= 0 && content < TOKENS) request->event_ns[content] = t_ns;
}

static void count_events(Stream *stream, const char *data, size_t size, long t_ns) {
  const char *at = data, *end = data + size;
  if (stream->last == '\n' && *data == '\n') count_event(stream->request, t_ns);
  while ((at = memmem(at, (size_t)(end - at), "\n\n", 2)) != NULL) {
    count_event(stream->request, t_ns);
    at += 2;
  }
  stream->last = end[-1];
}

/* Whether the terminating chunk has come: its seven bytes may be split. */
static int ended(Stream *stream, const char *data, size_t size) {
  size_t take = size < 7 ? size : 7;
  memmove(stream->tail, stream->tail + take, 7 - take);
  memcpy(stream->tail + 7 - take, data + size - take, take);
  return memcmp(stream->tail, "\r\n0\r\n\r\n", 7) == 0;
}

/* Reads what is there; whether the reply ended with it. */
static int take(Stream *stream) {
  ssize_t size = recv(stream->fd, buffer, BUFFER, MSG_DONTWAIT);
  long t_ns = now_ns();
  if (size <= 0) die("recv");
  if (stream->request->id[0] == 0) read_id(stream->request, buffer, (size_t)size);
  count_events(stream, buffer, (size_t)size, t_ns);
  return ended(stream, buffer, (size_t)size);
}

static void run(int epoll, int streams, long until_ns) {
  struct epoll_event ready[BATCH];
  int open = streams;
  while (open > 0) {
    int count = epoll_wait(epoll, ready, BATCH, -1);
    for (int i = 0; i < count; i++) {
      Stream *stream = ready[i].data.ptr;
      if (!take(stream)) continue;
      keep(stream->request);
      if (now_ns() < until_ns) {
        ask(stream);
      } else {
        close(stream->fd);
        open--;
      }
    }
  }
}

static void write_out(const char *path) {
  FILE *out = fopen(path, "w");
  if (out == NULL) die(path);
  for (size_t i = 0; i < done_count; i++) {
    Request *request = done[i];
    int events = request->events - 1 < TOKENS ? request->events - 1 : TOKENS;
    fprintf(out, "{\"id\":\"%s\",\"start_ns\":%ld,\"event_ns\":[", request->id, request->start_ns);
    for (int k = 0; k < events; k++) fprintf(out, k ? ",%ld" : "%ld", request->event_ns[k]);
    fprintf(out, "]}\n");
  }
  if (fclose(out) != 0) die(path);
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: floor PORT STREAMS DURATION_S OUT\n");
    return 2;
  }
  int port = atoi(argv[1]), streams = atoi(argv[2]);
  Stream *all = calloc((size_t)streams, sizeof *all);
  int epoll = epoll_create1(0);
  if (all == NULL || epoll < 0) die("start");
  make_message(port);
  for (int i = 0; i < streams; i++) open_stream(&all[i], epoll, port);
  long until_ns = now_ns() + (long)(atof(argv[3]) * 1e9);
  for (int i = 0; i < streams; i++) ask(&all[i]);
  run(epoll, streams, until_ns);
  write_out(argv[4]);
  return 0;
}
