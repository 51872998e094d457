// The courier: posts alerts to web addresses. The front door of courier/.
//
// The story: the resolver process cannot make a socket, and the broker should not speak TLS. So the broker
// forks a third process, which reads the secrets and certificates, enters a cell of its own (sandbox/cell.h:
// an empty file system but for name resolution, the service user, no capabilities, no execve) and then takes
// orders from the resolver's control thread over a SOCK_SEQPACKET channel: an alert's id and object, and to
// which of the configured addresses. It answers with an HTTP status or why there was none. It keeps nothing:
// what it was doing when it ends is tried again (control/dispatcher.h). It never sees a DNS packet nor the
// journal; the resolver never sees a secret.
//
// Read next: courier_wire.h (the channel), signature.h (what is signed), poster.h (HTTP).
#pragma once

#include <sys/types.h>
#include <chrono>
#include <string>
#include <vector>

#include "resolver/courier/url.h"
#include "resolver/sandbox/broker.h"
#include "rules/redaction.h"

namespace postern {

// One address that is told of alerts, as configured.
struct Webhook {
  static constexpr std::size_t most = 8;  // addresses: each has deliveries of its own
  static constexpr std::chrono::seconds longest_timeout{60};

  Url url;
  std::string secret_file;
  std::string ca_file;                 // PEM; empty: the system's certificates
  std::chrono::seconds timeout{10};    // for a whole attempt
  Redaction redact = Redaction::none;  // of the object; done before it is put into the outbox

  // What the journal and logs call it: the address without its query, which may hold a token.
  std::string name() const { return "webhook " + url.text(); }
};

struct CourierOptions {
  std::vector<Webhook> webhooks;
  uid_t uid = 0;  // as root: the service user
  gid_t gid = 0;
};

// Whether secrets and certificates can be read, before anything is started. Errors quote the file.
Result<void> check_webhooks(const std::vector<Webhook>& webhooks);

// In a process of its own, forked for it, single-threaded: serves until the channel's other end is gone. Its
// exit status. What hinders it is logged.
int run_courier(const CourierOptions& options, Fd channel);

}  // namespace postern
