// Fd: the one place where a descriptor is closed.
#include <unistd.h>

#include "resolver/sandbox/broker.h"

namespace postern {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void Fd::reset() {
  // The result says nothing that could be acted upon: Linux frees the number even when it reports EINTR.
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace postern
