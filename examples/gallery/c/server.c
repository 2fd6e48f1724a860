/* Says hello to everybody who connects to port 8080. */
#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\nhello from c\n";

int main(void) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) {
    perror("port 8080");
    return 1;
  }
  for (;;) {
    char request[4096];
    int client = accept(listener, NULL, NULL);
    if (client < 0)
      continue;
    if (read(client, request, sizeof request) > 0 && write(client, answer, sizeof answer - 1) < 0)
      perror("answer");
    close(client);
  }
}
