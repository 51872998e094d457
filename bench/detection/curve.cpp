// The trade-off: bytes out against benign pairs cut, for zone budgets from 16 to 1,024 bytes; a table and
// plots.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <unordered_set>

#include "bench/detection/data.h"

namespace postern::bench {
namespace {

constexpr std::uint64_t tried_budgets[] = {16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024};
constexpr double allowed_per_mille = 1;

struct Point {
  std::uint64_t budget = 0;
  double charged = 0;           // the most to one zone
  double most = 0, median = 0;  // bytes decoded, to one zone, of the tunnels that carry more than 1,024
  struct Count {
    std::uint64_t pairs = 0, cut = 0;
    double per_mille() const {
      return pairs == 0 ? 0 : 1000.0 * static_cast<double>(cut) / static_cast<double>(pairs);
    }
  };
  Count zeek[3], crawl[3];  // [half]; 0 is not used
  double per_mille(int half) const {
    return Count{zeek[half].pairs + crawl[half].pairs, zeek[half].cut + crawl[half].cut}.per_mille();
  }
  double per_mille() const {
    Count all;
    for (const int half : {1, 2})
      for (const Count* one : {&zeek[half], &crawl[half]}) all.pairs += one->pairs, all.cut += one->cut;
    return all.per_mille();
  }
  // Both recordings of that half keep the bar.
  bool keeps(int half) const {
    return zeek[half].per_mille() <= allowed_per_mille && crawl[half].per_mille() <= allowed_per_mille;
  }
};

// A zone budget and nothing else. Tunnels meet the meter alone; benign traffic the default policy, whose
// local answers never reach the meter.
ReplayRules zone_only(std::uint64_t budget, bool meter_alone) {
  ReplayRules rules = rules_for(meter_alone, "code");
  rules.budgets = unlimited_budgets();
  rules.budgets.zone = budget;
  rules.budgets.known_zone = std::max<std::uint64_t>(1024, budget);
  return rules;
}

Point measure(const Dataset& data, std::uint64_t budget) {
  Point point;
  point.budget = budget;
  std::vector<double> decoded;
  for (const TunnelTrace& tunnel : data.tunnels) {
    if (tunnel.carried() <= 1024) continue;  // they have little more to tell than the largest budget
    std::map<std::size_t, double> bytes;     // by zone; one client each
    std::unordered_set<Name, NameHash> seen;
    PlayOptions options;
    options.each = [&](const Query& query, const SessionReplay::Step& step) {
      if (step.fate == Fate::forwarded && seen.insert(query.name).second)
        bytes[SuffixList::builtin()->ledger_cut(query.name).zone == 0 ? ~std::size_t{0} : step.zone] +=
            tunnel.payload_bits(query.name) / 8;
    };
    const Played played = play(tunnel.trace, zone_only(budget, true), options);
    point.charged = std::max(point.charged, played.largest_zone);
    double largest = 0;
    for (const auto& [zone, one] : bytes) largest = std::max(largest, one);
    decoded.push_back(largest);
  }
  std::sort(decoded.begin(), decoded.end());
  point.most = decoded.back();
  point.median = decoded[decoded.size() / 2];
  for (const int half : {1, 2}) {
    PlayOptions options;
    options.half = half;
    const Played zeek = play(data.zeek, zone_only(budget, false), options),
                 crawl = play(data.crawl, zone_only(budget, false), options);
    point.zeek[half] = {zeek.pairs, zeek.pairs_cut};
    point.crawl[half] = {crawl.pairs, crawl.pairs_cut};
  }
  return point;
}

// Both axes are logarithms: bytes out to the right, pairs cut of a million upwards.
struct Axes {
  double left = std::log10(5), right = std::log10(1200), bottom = std::log10(2), top = std::log10(3000);
  double across(double bytes) const { return (std::log10(std::max(bytes, 5.0)) - left) / (right - left); }
  double up(double per_million) const {
    return (std::log10(std::max(per_million, 2.0)) - bottom) / (top - bottom);
  }
};

void plot_text(const std::vector<Point>& points) {
  constexpr int width = 72, height = 18;
  std::vector<std::string> rows(height, std::string(width, ' '));
  const Axes axes;
  const auto put = [&](double x, double y, const std::string& text) {
    const int column = std::clamp(static_cast<int>(axes.across(x) * (width - 1)), 0, width - 1);
    const int row = std::clamp(height - 1 - static_cast<int>(axes.up(y) * (height - 1)), 0, height - 1);
    for (std::size_t i = 0; i < text.size() && column + static_cast<int>(i) < width; ++i)
      rows[static_cast<std::size_t>(row)][static_cast<std::size_t>(column) + i] = text[i];
  };
  for (int column = 0; column < width; column += 2) {
    const double bytes = std::pow(10, axes.left + (axes.right - axes.left) * column / (width - 1));
    put(bytes, allowed_per_mille * 1000, "-");
  }
  for (const Point& point : points)
    put(point.most, point.per_mille() * 1000, "*" + std::to_string(point.budget));
  std::printf(
      "pairs cut, of a million (logarithm, 2 to 3,000); ---: 1 in 1,000; *N: a zone budget of N bytes\n\n");
  for (const std::string& row : rows) std::printf("  |%s\n", row.c_str());
  std::printf("  +%s\n   5%*s\n   most bytes decoded of a tunnel (logarithm)\n\n",
              std::string(width, '-').c_str(), width - 2, "1,200");
}

std::string svg_of(const std::vector<Point>& points) {
  constexpr double width = 640, height = 400, margin = 60;
  const Axes axes;
  const auto x = [&](double bytes) { return margin + axes.across(bytes) * (width - 2 * margin); };
  const auto y = [&](double per_million) {
    return height - margin - axes.up(per_million) * (height - 2 * margin);
  };
  std::string out;
  const auto line = [&](const char* format, auto... values) {
    char text[400];
    std::snprintf(text, sizeof text, format, values...);
    out += text;
    out += '\n';
  };
  line(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" "
      "font-size=\"12\">",
      width, height);
  line("<rect width=\"%.0f\" height=\"%.0f\" fill=\"white\"/>", width, height);
  line(
      "<text x=\"%.0f\" y=\"24\" text-anchor=\"middle\" font-size=\"14\">Zone budgets: bytes out against "
      "benign pairs "
      "cut</text>",
      width / 2);
  for (const double bytes : {8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0}) {
    line("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>", x(bytes), margin,
         x(bytes), height - margin);
    line("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.0f</text>", x(bytes), height - margin + 18,
         bytes);
  }
  for (const double million : {3.0, 10.0, 30.0, 100.0, 300.0, 1000.0}) {
    line("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>", margin, y(million),
         width - margin, y(million), million == 1000 ? "#c00" : "#ddd");
    line("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.0f</text>", margin - 6, y(million) + 4, million);
  }
  line(
      "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">bytes decoded: the most of any recorded "
      "tunnel</text>",
      width / 2, height - 12);
  line(
      "<text x=\"16\" y=\"%.0f\" text-anchor=\"middle\" transform=\"rotate(-90 16 %.0f)\">benign pairs cut, "
      "of a "
      "million</text>",
      height / 2, height / 2);
  const struct {
    int half;
    const char* colour;
    const char* words;
  } halves[] = {{1, "#888", "half 1 (chosen on)"}, {2, "#06c", "half 2 (quoted)"}};
  int legend = 0;
  for (const auto& half : halves) {
    std::string path;
    for (const Point& point : points) {
      char text[64];
      std::snprintf(text, sizeof text, "%.1f,%.1f ", x(point.most), y(point.per_mille(half.half) * 1000));
      path += text;
    }
    out += "<polyline fill=\"none\" stroke=\"" + std::string(half.colour) +
           "\" stroke-width=\"2\" points=\"" + path + "\"/>\n";
    for (const Point& point : points)
      line("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>", x(point.most),
           y(point.per_mille(half.half) * 1000), half.colour);
    line("<text x=\"%.0f\" y=\"%.0f\" fill=\"%s\">%s</text>", width - margin - 130,
         margin + 16.0 + 16 * legend++, half.colour, half.words);
  }
  for (const Point& point : points)
    if ((point.budget & (point.budget - 1)) == 0)
      line("<text x=\"%.1f\" y=\"%.1f\" fill=\"#06c\">%llu B</text>", x(point.most) + 5,
           y(point.per_mille(2) * 1000) - 6, static_cast<unsigned long long>(point.budget));
  return out + "</svg>\n";
}

}  // namespace

Result<void> report_curve(const Dataset& data, const std::string& svg, Bars& bars) {
  std::printf(
      "\n## The trade-off: bytes out against benign pairs cut\n\nZone budgets alone: tunnels with the meter "
      "alone, zeek and crawl under the default policy, split by the zone's name; bytes decoded of the "
      "tunnels that carry more than 1,024.\n\n");
  std::vector<Point> points;
  for (const std::uint64_t budget : tried_budgets) points.push_back(measure(data, budget));
  Table table({"zone budget", "bytes out, most", "median", "zeek half 1: cut", "of", "per 1,000",
               "half 2: cut", "of", "per 1,000", "crawl half 1: cut", "of", "half 2: cut", "of"});
  std::uint64_t chosen = 0, needed = 0;
  const Point* shipped = nullptr;
  for (const Point& point : points) {
    const auto count = [](std::uint64_t value) { return number(static_cast<double>(value)); };
    table.row({count(point.budget), number(point.most), number(point.median), count(point.zeek[1].cut),
               count(point.zeek[1].pairs), number(point.zeek[1].per_mille(), 2), count(point.zeek[2].cut),
               count(point.zeek[2].pairs), number(point.zeek[2].per_mille(), 2), count(point.crawl[1].cut),
               count(point.crawl[1].pairs), count(point.crawl[2].cut), count(point.crawl[2].pairs)});
    const bool power = (point.budget & (point.budget - 1)) == 0;
    if (chosen == 0 && power && point.keeps(1)) chosen = point.budget;
    if (needed == 0 && power && point.keeps(2)) needed = point.budget;
    if (point.budget == Budgets{}.zone) shipped = &point;
  }
  table.print();
  plot_text(points);
  bool within = true;
  for (const Point& point : points) within &= point.charged <= static_cast<double>(point.budget);
  bars.bar("at every budget no zone is charged more than it", within);
  std::printf(
      "smallest power of two that keeps 1 in 1,000 in each recording: half 1 %llu bytes, half 2 %llu bytes\n",
      static_cast<unsigned long long>(chosen), static_cast<unsigned long long>(needed));
  POSTERN_CHECK(shipped != nullptr);
  bars.bar("the default zone budget keeps 1 in 1,000 on half 2, both recordings together (" +
               number(shipped->per_mille(2), 3) + ")",
           shipped->per_mille(2) <= allowed_per_mille);
  bars.bar("the default zone budget keeps 1 in 1,000 on half 2 of each recording (zeek " +
               number(shipped->zeek[2].per_mille(), 2) + ", crawl " +
               number(shipped->crawl[2].per_mille(), 3) + "; one pair of zeek's half is " +
               number(1000.0 / static_cast<double>(shipped->zeek[2].pairs), 2) + ")",
           shipped->keeps(2));
  if (svg.empty()) return {};
  std::ofstream file(svg, std::ios::trunc);
  file << svg_of(points);
  if (!file.flush()) return failure("cannot write the plot " + svg);
  std::printf("plot written to %s\n", svg.c_str());
  return {};
}

}  // namespace postern::bench
