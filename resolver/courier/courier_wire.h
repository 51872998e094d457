// The courier's wire: orders and answers on its SEQPACKET channel, and the resolver's end of it.
//
// An order is one CourierOrder, the alert's id and its object, in one message; an answer one CourierAnswer
// and an error's text. Both ends are the same program (fork), so there is no version. The courier trusts the
// resolver for what is posted and for nothing else: an order names one of the configured addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "resolver/sandbox/broker.h"
#include "rules/result.h"

namespace postern {

struct CourierOrder {
  std::int64_t delivery = 0;
  std::uint32_t webhook = 0;
  std::uint32_t id_octets = 0;
  std::uint32_t body_octets = 0;
  std::uint32_t zero = 0;
};
struct CourierAnswer {
  enum class Kind : std::uint32_t { ended, began };  // began: a new courier; what the last one had is lost
  Kind kind = Kind::ended;
  std::int32_t status = -1;  // HTTP; -1: none
  std::int64_t delivery = 0;
  std::uint32_t wait_s = 0;  // Retry-After
  std::uint32_t error_octets = 0;
};

inline constexpr std::size_t max_courier_id = 64;           // octets of an alert's id
inline constexpr std::size_t max_courier_body = 64 * 1024;  // of its object: some kilobytes in practice
inline constexpr std::size_t max_courier_error = 512;

// A pair of connected channels: the resolver's end, the courier's. Nonblocking.
struct CourierChannel {
  Fd resolver, courier;
};
Result<CourierChannel> make_courier_channel();

// Errors: too long, or the channel is full: the courier does not read, or there is none now.
Result<void> send_order(int channel, std::int64_t delivery, std::size_t webhook, const std::string& id,
                        const std::string& body);
struct ReceivedOrder {
  std::int64_t delivery = 0;
  std::size_t webhook = 0;
  std::string id, body;
};
struct ReceivedAnswer {
  CourierAnswer head;
  std::string error;
};
enum class Receipt { got, nothing_yet, closed };
// One message; never waits. Garbage counts as closed: the other end is not what it should be.
Receipt receive_order(int channel, ReceivedOrder& order);
Receipt receive_answer(int channel, ReceivedAnswer& answer);
// False: it could not be sent now.
bool send_answer(int channel, CourierAnswer head, const std::string& error);

}  // namespace postern
