// Fuzz: the daemon's configuration file and the upstream addresses in it.
#include "resolver/control/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto config = postern::parse_config(text, "/etc/postern/postern.yaml");
  if (config) POSTERN_CHECK(config->workers >= 1 && config->workers <= 64 && config->upstream.size() <= 8);
  if (!config) POSTERN_CHECK(!config.error().message.empty());
  (void)postern::parse_server(text);
  POSTERN_CHECK(postern::parse_resolv_conf(text).size() <= 8);
  return 0;
}
