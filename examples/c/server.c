/* The smallest server that can say whether it is well: every request gets one answer. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    "Content-Length: 13\r\n\r\nhello from c\n";

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
  int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16))
    return 1;
  for (;;) {
    char request[4096];
    int client = accept(listener, 0, 0);
    if (client < 0)
      continue;
    if (read(client, request, sizeof request) > 0 &&
        write(client, answer, strlen(answer)) < 0)
      return 1;
    close(client);
  }
}
