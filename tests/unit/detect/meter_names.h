// Names for meter tests: what ordinary programs ask, and encoders that hide bits in names.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "detect/meter.h"
#include "rules/public_suffix.h"

namespace postern::sample {

inline Ask ask_of(const Query& query) {
  return {&query, PublicSuffixes::registered_labels(query.name),
          PublicSuffixes::icann_registered_labels(query.name)};
}

inline SessionMeter meter_with(const Budgets& budgets) {
  static const auto code = NameCode::builtin();  // tables are large; tests only read them
  static const auto known = KnownNames::builtin();
  return {budgets, code, known};
}

inline Budgets unlimited() {
  Budgets budgets;
  budgets.zone = budgets.known_zone = budgets.parent = budgets.arpa = budgets.session = budgets.answers =
      Budgets::unlimited;
  budgets.single_name_bits = 4000;
  return budgets;
}

inline const std::vector<std::string>& ordinary() {
  static const std::vector<std::string> names{"github.com",
                                              "api.github.com",
                                              "www.example.com",
                                              "static.example.net",
                                              "cdn.assets.example.org",
                                              "mail.example.co.uk",
                                              "d3f7zc5bbfci5.cloudfront.net",
                                              "e6858.dscx.akamaiedge.net",
                                              "bucket-7.s3.amazonaws.com",
                                              "user.github.io",
                                              "docs.rs",
                                              "huggingface.co",
                                              "fonts.gstatic.com",
                                              "4.3.2.1.in-addr.arpa",
                                              "r4---sn-hpa7kn7l.googlevideo.com",
                                              "_sip._tcp.example.com",
                                              "7ba3f64df98de730df38846b54ecfbdf7f61f80f.cws.example.net",
                                              "login.example.de",
                                              "ftp.example.fr",
                                              "a.b.c.d.e.f.example.com",
                                              "xn--mnchen-3ya.example",
                                              "www.example.com.au",
                                              "node-12.cluster-7.eu-west-1.compute.example.io",
                                              "example",
                                              ".",
                                              "api-v2.eu.service.example.dev",
                                              "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"};
  return names;
}

using Dice = std::mt19937_64;

inline std::string digits(Dice& dice, const std::string& alphabet, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += alphabet[dice() % alphabet.size()];
  return text;
}
inline const std::string hex = "0123456789abcdef", base32 = "abcdefghijklmnopqrstuvwxyz234567",
                         decimal = "0123456789", base36 = "abcdefghijklmnopqrstuvwxyz0123456789";

// 2,048 pronounceable words of two to three syllables: 11 bits each.
inline const std::vector<std::string>& words() {
  static const std::vector<std::string> list = [] {
    const std::string consonants = "bdfgklmnprstvz", vowels = "aeiou";
    std::vector<std::string> out;
    Dice dice(7);
    while (out.size() < 2048) {
      std::string word;
      for (std::size_t i = 0, n = 2 + dice() % 2; i < n; ++i)
        word += std::string{consonants[dice() % consonants.size()], vowels[dice() % vowels.size()]};
      if (std::find(out.begin(), out.end(), word) == out.end()) out.push_back(word);
    }
    return out;
  }();
  return list;
}

}  // namespace postern::sample
