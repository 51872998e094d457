// The stub resolver of musl, in a static program: prints the addresses of argv[1], one a line; exits 1 on failure.
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char** argv) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo* list = NULL;
  if (argc < 2) return 2;
  int status = getaddrinfo(argv[1], NULL, &hints, &list);
  if (status != 0) {
    fprintf(stderr, "%s: %s\n", argv[1], gai_strerror(status));
    return 1;
  }
  for (struct addrinfo* at = list; at != NULL; at = at->ai_next) {
    char text[INET6_ADDRSTRLEN] = "";
    const void* address = at->ai_family == AF_INET6 ? (void*)&((struct sockaddr_in6*)at->ai_addr)->sin6_addr
                                                    : (void*)&((struct sockaddr_in*)at->ai_addr)->sin_addr;
    puts(inet_ntop(at->ai_family, address, text, sizeof text));
  }
  freeaddrinfo(list);
  return 0;
}
