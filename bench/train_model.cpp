// The trainer: from a plain list of names (one a line, on stdin) to the character model and the shape tables
// in detect/.
//
//   train_model [--contexts N] [--order K] [--write FOLDER]     trains, reports on held-out zones, writes
//   *.inc train_model --sizes                                         bits per character for many orders and
//   sizes
//
// Names are split by registered domain, so that no zone is in two parts: 7 in 10 are counted, 2 in 10 choose
// contexts and smoothing, 1 in 10 is only measured on. The last part never reaches a table.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <queue>
#include <set>
#include <unordered_map>

#include "detect/code.h"
#include "rules/public_suffix.h"

namespace postern {
namespace {

enum class Part { counted, choosing, held_out };

struct Example {
  std::string text;  // labels from the right, each closed by '.', in the model's symbols
  Name name;
  double weight = 1;
  Part part = Part::counted;
};

constexpr std::size_t max_symbols = 40;
using Counts = std::array<float, max_symbols>;

std::uint32_t fnv(std::string_view text) {
  std::uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619u;
  return hash ^ (hash >> 15);
}

std::size_t symbol_of(char c) {
  if (c == '.') return 38;
  const auto at = Model::builtin_alphabet().find(c);
  return at == std::string_view::npos ? 39 : at;
}
char letter_of(std::size_t symbol) {
  return symbol == 38 ? '.' : symbol == 39 ? '*' : Model::builtin_alphabet()[symbol];
}

std::string model_text(const Name& name) {
  std::vector<std::string> labels;
  for (Name rest = name; !rest.is_root(); rest = rest.parent()) {
    std::string label(rest.first_label());
    for (char& c : label)
      if (symbol_of(c) >= 38) c = '*';
    labels.push_back(label);
  }
  std::string text;
  for (auto at = labels.rbegin(); at != labels.rend(); ++at) text += *at + '.';
  return text;
}

std::vector<Example> read_names() {
  std::vector<Example> examples;
  std::unordered_map<std::string, std::size_t> in_zone;
  std::string line;
  std::vector<std::string> zones;
  while (std::getline(std::cin, line)) {
    if (line.empty() || line[0] == '#') continue;
    const auto name = Name::parse(line);
    if (!name || name->is_root()) {
      std::fprintf(stderr, "skipped \"%s\"\n", line.c_str());
      continue;
    }
    const std::string zone = registered_domain(*name).text();
    ++in_zone[zone];
    zones.push_back(zone);
    const std::uint32_t tenth = fnv(zone) % 10;
    examples.push_back({model_text(*name), *name, 1,
                        tenth < 7   ? Part::counted
                        : tenth < 9 ? Part::choosing
                                    : Part::held_out});
  }
  // A zone with 500 names must not teach its own spelling 500 times.
  for (std::size_t i = 0; i < examples.size(); ++i)
    examples[i].weight = 1 / std::sqrt(static_cast<double>(in_zone[zones[i]]));
  return examples;
}

class Trainer {
 public:
  Trainer(const std::vector<Example>& examples, std::size_t order) : examples_(examples), order_(order) {
    for (const Example& example : examples_) {
      if (example.part == Part::held_out) continue;
      auto& table = example.part == Part::counted ? train_ : choose_;
      const std::string text = ".." + example.text;
      for (std::size_t i = 2; i < text.size(); ++i)
        for (std::size_t k = 0; k <= order_ && k <= i; ++k) {
          Counts& counts = table[text.substr(i - k, k)];
          counts[symbol_of(text[i])] += static_cast<float>(example.weight);
        }
    }
  }

  using Row = std::array<double, max_symbols>;

  // Smoothed distribution of a context, given its suffix's (Witten-Bell, with a floor so that nothing is
  // impossible).
  static Row smooth(const Counts& counts, const Row& backoff) {
    double total = 0, distinct = 0;
    for (const float n : counts) total += n, distinct += n > 0 ? 1 : 0;
    const double lambda = 0.35 * distinct + 0.35;
    Row row;
    for (std::size_t s = 0; s < max_symbols; ++s)
      row[s] = (counts[s] + lambda * backoff[s]) / (total + lambda);
    return row;
  }
  static Row root_backoff() {
    Row row;
    row.fill(1.0 / max_symbols);
    return row;
  }
  const Row& distribution(const std::string& context) {
    if (const auto found = rows_.find(context); found != rows_.end()) return found->second;
    const Row backoff = context.empty() ? root_backoff() : distribution(context.substr(1));
    const auto counts = train_.find(context);
    const Row row = counts == train_.end() ? backoff : smooth(counts->second, backoff);
    return rows_.emplace(context, row).first->second;
  }

  double gain(const std::string& context) {
    const auto seen = choose_.find(context);
    if (seen == choose_.end()) return 0;
    const Row& own = distribution(context);
    const Row& shorter = distribution(context.substr(1));
    double bits = 0;
    for (std::size_t s = 0; s < max_symbols; ++s)
      if (seen->second[s] > 0) bits += seen->second[s] * std::log2(own[s] / shorter[s]);
    return bits;
  }

  // The best `limit` contexts, such that with a context its suffix and its prefix are there (else no
  // automaton state could ever reach it).
  std::vector<std::string> choose(std::size_t limit) {
    std::vector<std::string> chosen{""};
    std::set<std::string> have{""};
    std::priority_queue<std::pair<double, std::string>> open;
    std::unordered_map<std::string, std::vector<std::string>> waiting;
    const auto offer = [&](const std::string& context) {
      const std::string prefix = context.substr(0, context.size() - 1);
      if (!have.contains(prefix)) {
        waiting[prefix].push_back(context);
        return;
      }
      open.emplace(promise(context), context);
    };
    const auto extend = [&](const std::string& context) {
      if (context.size() < order_)
        for (std::size_t s = 0; s < max_symbols; ++s) {
          const std::string longer = letter_of(s) + context;
          if (choose_.contains(longer)) offer(longer);
        }
      for (const std::string& ready : waiting[context])
        if (have.contains(ready.substr(1))) open.emplace(promise(ready), ready);
      waiting.erase(context);
    };
    extend("");
    while (chosen.size() < limit && !open.empty()) {
      const auto [bits, context] = open.top();
      open.pop();
      if (bits <= 0) break;
      if (!have.insert(context).second) continue;
      chosen.push_back(context);
      extend(context);
    }
    return chosen;
  }

  // Every context up to `order` that was counted: a plain n-gram.
  std::vector<std::string> all(std::size_t order) const {
    std::vector<std::string> contexts;
    for (const auto& [context, counts] : train_)
      if (context.size() <= order) contexts.push_back(context);
    std::sort(contexts.begin(), contexts.end(), [](const auto& a, const auto& b) {
      return a.size() != b.size() ? a.size() < b.size() : a < b;
    });
    return contexts;
  }

  // Counts what each state of the finished automaton meets (a state stands for fewer places than its context)
  // and writes the rows.
  std::vector<Model::Row> rows(const std::vector<std::string>& contexts) {
    std::vector<Model::Row> rows;
    for (const std::string& context : contexts)
      rows.push_back({context, std::string(max_symbols, Model::level_char(0))});
    const auto automaton = Model::build(Model::builtin_alphabet(), rows);
    if (!automaton) std::fprintf(stderr, "%s\n", automaton.error().message.c_str()), std::exit(1);
    std::vector<Counts> met(contexts.size());
    for (const Example& example : examples_) {
      if (example.part == Part::held_out) continue;
      Model::State state = automaton->start();
      for (const char c : example.text) {
        const auto symbol = static_cast<Model::Symbol>(symbol_of(c));
        met[state][symbol] += static_cast<float>(example.weight);
        state = automaton->next(state, symbol);
      }
    }
    std::unordered_map<std::string, Row> done;
    std::vector<std::size_t> by_length(contexts.size());
    for (std::size_t i = 0; i < by_length.size(); ++i) by_length[i] = i;
    std::stable_sort(by_length.begin(), by_length.end(),
                     [&](auto a, auto b) { return contexts[a].size() < contexts[b].size(); });
    for (const std::size_t i : by_length) {
      const std::string& context = contexts[i];
      // A state's own count misses what its longer contexts took; the backoff is the suffix's full
      // distribution.
      const Row backoff = context.empty() ? root_backoff() : full(context.substr(1));
      done[context] = smooth(met[i], backoff);
      rows[i].prices = quantise(done[context]);
    }
    return rows;
  }

  static std::string quantise(const Row& row) {
    std::array<int, max_symbols> level{};
    const auto mass = [](int l) { return std::exp2(-l * (Model::step / 1000.0)); };
    double sum = 0;
    for (std::size_t s = 0; s < max_symbols; ++s) {
      level[s] = std::clamp(static_cast<int>(std::lround(-std::log2(row[s]) * 1000 / Model::step)), 1,
                            Model::max_level);
      sum += mass(level[s]);
    }
    constexpr double full = 1 - 1e-9;
    while (sum > full) {  // raise the one that was rounded down most
      std::size_t worst = 0;
      double most = -1e9;
      for (std::size_t s = 0; s < max_symbols; ++s) {
        const double cheap = -std::log2(row[s]) * 1000 / Model::step - level[s];
        if (level[s] < Model::max_level && cheap > most) most = cheap, worst = s;
      }
      sum -= mass(level[worst]) - mass(level[worst] + 1);
      ++level[worst];
    }
    for (;;) {  // spend what is left where it helps most
      std::size_t best = max_symbols;
      double most = 0;
      for (std::size_t s = 0; s < max_symbols; ++s) {
        if (level[s] <= 1 || sum - mass(level[s]) + mass(level[s] - 1) > full) continue;
        const double help = row[s] / (mass(level[s] - 1) - mass(level[s]));
        if (help > most) most = help, best = s;
      }
      if (best == max_symbols) break;
      sum += mass(level[best] - 1) - mass(level[best]);
      --level[best];
    }
    std::string text;
    for (const int l : level) text += Model::level_char(l);
    return text;
  }

 private:
  // Both parts together, for the final rows.
  const Row& full(const std::string& context) {
    if (const auto found = full_.find(context); found != full_.end()) return found->second;
    const Row backoff = context.empty() ? root_backoff() : full(context.substr(1));
    Counts counts{};
    for (const auto* table : {&train_, &choose_})
      if (const auto found = table->find(context); found != table->end())
        for (std::size_t s = 0; s < max_symbols; ++s) counts[s] += found->second[s];
    return full_.emplace(context, smooth(counts, backoff)).first->second;
  }
  // A context that gains little itself but opens better ones is worth half of the best of those.
  double promise(const std::string& context) {
    double best = gain(context);
    if (context.size() < order_) {
      double longer = 0;
      for (std::size_t s = 0; s < max_symbols; ++s) longer = std::max(longer, gain(letter_of(s) + context));
      best = std::max(best, best / 2 + longer / 2);
    }
    return best;
  }

  const std::vector<Example>& examples_;
  std::size_t order_;
  std::unordered_map<std::string, Counts> train_, choose_;
  std::unordered_map<std::string, Row> rows_, full_;
};

struct Score {
  double bits = 0, symbols = 0;
  double per_symbol() const { return bits / symbols; }
};
Score measure(const Model& model, const std::vector<Example>& examples, Part part) {
  Score score;
  for (const Example& example : examples) {
    if (example.part != part) continue;
    Model::State state = model.start();
    for (const char c : example.text) {
      const auto symbol = static_cast<Model::Symbol>(symbol_of(c));
      score.bits += model.price(state, symbol) / 1000.0;
      state = model.next(state, symbol);
      ++score.symbols;
    }
  }
  return score;
}

int level_of(double probability) {
  return std::clamp(static_cast<int>(std::ceil(-std::log2(probability) * 1000 / Model::step - 1e-9)), 0,
                    Model::max_level);
}

struct ShapeTables {
  std::vector<CodeTables::Shape> shape;
  std::vector<std::vector<Millibits>> classes;
};

// Ends and classes: counted with the code's own idea of a label's kind and bucket.
ShapeTables train_shape(std::shared_ptr<const Model> model, const std::vector<Example>& examples) {
  CodeTables tables = CodeTables::builtin();
  tables.model = model;
  const NameCode reader(tables);
  std::array<std::array<double, 2>, CodeTables::depths> depth{};
  std::vector<std::array<double, 2>> cell(CodeTables::depths * CodeTables::buckets);
  for (const Example& example : examples) {
    if (example.part == Part::held_out) continue;
    std::vector<std::string> labels;
    for (Name rest = example.name; !rest.is_root(); rest = rest.parent())
      labels.emplace_back(rest.first_label());
    std::uint32_t bucket = 0;
    for (std::size_t k = 0; k <= labels.size(); ++k) {
      const std::size_t d = std::min(k, CodeTables::depths - 1);
      const std::size_t end = k == labels.size() ? 1 : 0;
      depth[d][end] += example.weight;
      cell[d * CodeTables::buckets + bucket][end] += example.weight;
      if (k < labels.size()) bucket = reader.read(labels[labels.size() - 1 - k]).bucket;
    }
  }
  ShapeTables out;
  for (std::size_t d = 0; d < CodeTables::depths; ++d)
    for (std::size_t b = 0; b < CodeTables::buckets; ++b) {
      const double prior = std::clamp((depth[d][1] + 0.5) / (depth[d][0] + depth[d][1] + 1), 0.001, 0.9);
      const auto& [more, end] = cell[d * CodeTables::buckets + b];
      constexpr double lambda = 4;
      // Attackers choose shapes too: neither side ever costs more than 6 bits, so that a tunnel is charged
      // what it carries and not much more.
      const double p = std::clamp((end + lambda * prior) / (more + end + lambda), 1.0 / 64, 63.0 / 64);
      // The pair of prices that costs least on average; each gets what the other's rounding has left.
      int more_level = 1, end_level = 1;
      double least = 1e9;
      for (int m = 1; m <= 48; ++m) {
        const int e = level_of(1 - std::exp2(-m * (Model::step / 1000.0)));
        if (const double cost = (1 - p) * m + p * e; e <= 48 && cost < least)
          least = cost, more_level = m, end_level = e;
      }
      out.shape.push_back({static_cast<Millibits>(more_level) * Model::step,
                           static_cast<Millibits>(end_level) * Model::step});
    }
  tables.shape = out.shape;
  const std::size_t classes = tables.plain.size() + 2;
  for (int round = 0; round < 4; ++round) {
    const NameCode code(tables);
    std::vector<std::vector<double>> count(CodeTables::kinds, std::vector<double>(classes, 0));
    for (const Example& example : examples) {
      if (example.part == Part::held_out) continue;
      Codeword said;
      LabelPrices prices;
      code.price(example.name, prices, &said);
      for (const CodedSymbol& symbol : said)
        if (symbol.table == CodedSymbol::Table::label_class)
          count[symbol.context][symbol.symbol] += example.weight;
    }
    for (std::size_t k = 0; k < CodeTables::kinds; ++k) {
      // What no benign list teaches: tunnels go on as they began. A label of long digits is followed by
      // another with even odds, and no class ever costs more than about 6 bits.
      double total = 0;
      for (const double n : count[k]) total += n;
      std::vector<double> p(classes);
      const bool in_digits = k == 3 || k == 5 || k == 7;
      double sum = 0;
      for (std::size_t c = 0; c < classes; ++c) {
        const double prior = !in_digits         ? (c == 0 ? 0.8 : 0.2 / static_cast<double>(classes - 1))
                             : c == 0           ? 0.3
                             : c == classes - 1 ? 0.4
                                                : 0.3 / static_cast<double>(classes - 2);
        const double strength = in_digits ? 0.5 * total + 10 : 20;
        p[c] = (count[k][c] + strength * prior) / (total + strength);
        if (k == 0 && c == classes - 1)
          p[c] = 1e-6;  // nothing to repeat yet
        else
          p[c] = std::max(p[c], 1.0 / 64);
        sum += p[c];
      }
      std::vector<double> share(max_symbols, 0);
      for (std::size_t c = 0; c < classes; ++c)
        tables.classes[k][c] = static_cast<Millibits>(level_of(p[c] / sum)) * Model::step;
    }
  }
  out.classes = tables.classes;
  return out;
}

void write_tables(const std::string& folder, const std::vector<Model::Row>& rows, const ShapeTables& shape) {
  std::ofstream model(folder + "/model_table.inc");
  model << "// Written by bench/train_model.cpp; do not edit. {context, prices in eighths of a bit}, see "
           "detect/model.h.\n";
  for (const Model::Row& row : rows) model << "{\"" << row.context << "\",\"" << row.prices << "\"},\n";
  std::ofstream code(folder + "/code_table.inc");
  code
      << "// Written by bench/train_model.cpp; do not edit. Prices in eighths of a bit, see detect/code.h.\n";
  code << "// {more, end} by the number of labels read, one character per bucket of the last label's hash.\n";
  code << "constexpr ShapeRow shape_table[] = {\n";
  const auto level = [](Millibits price) { return Model::level_char(static_cast<int>(price / Model::step)); };
  const auto line = [&](std::size_t d, bool end) {
    std::string text;
    for (std::size_t b = 0; b < CodeTables::buckets; ++b) {
      const auto& cell = shape.shape[d * CodeTables::buckets + b];
      text += level(end ? cell.end : cell.more);
      if (b % 64 == 63 && b + 1 < CodeTables::buckets) text += "\"\n     \"";
    }
    return text;
  };
  for (std::size_t d = 0; d < CodeTables::depths; ++d)
    code << "    {\"" << line(d, false) << "\",\n     \"" << line(d, true) << "\"},\n";
  code << "};\n// {gram, plain..., again} by the kind of the last label.\nconstexpr const char* "
          "class_table[] = {\n";
  for (const auto& row : shape.classes) {
    code << "    \"";
    for (const Millibits price : row) code << level(price);
    code << "\",\n";
  }
  code << "};\n";
}

void report(const Model& model, const ShapeTables& shape, const std::vector<Example>& examples) {
  CodeTables tables = CodeTables::builtin();
  tables.model = std::make_shared<const Model>(model);
  tables.shape = shape.shape;
  tables.classes = shape.classes;
  const NameCode code(tables);
  for (const Part part : {Part::counted, Part::choosing, Part::held_out}) {
    const Score score = measure(model, examples, part);
    double bits = 0, below = 0, octets = 0, names = 0;
    for (const Example& example : examples) {
      if (example.part != part) continue;
      LabelPrices prices;
      code.price(example.name, prices);
      bits += prices.total / 1000.0;
      below += prices.below(PublicSuffixes::registered_labels(example.name)) / 1000.0;
      octets += static_cast<double>(example.text.size());
      ++names;
    }
    std::printf(
        "%-9s %6.0f names  letters alone %.4f bits/char  whole code %.4f bits/char, %.2f bits/name, %.2f "
        "below the zone\n",
        part == Part::counted    ? "counted"
        : part == Part::choosing ? "choosing"
                                 : "held out",
        names, score.per_symbol(), bits / octets, bits / names, below / names);
  }
}

int run(int argc, char** argv) {
  std::size_t contexts = 1800, order = 6;
  std::string folder;
  bool sizes = false;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--sizes")
      sizes = true;
    else if (i + 1 < argc && flag == "--contexts")
      contexts = std::stoul(argv[++i]);
    else if (i + 1 < argc && flag == "--order")
      order = std::stoul(argv[++i]);
    else if (i + 1 < argc && flag == "--write")
      folder = argv[++i];
    else
      return std::fprintf(stderr, "unknown flag \"%s\"\n", argv[i]), 2;
  }
  const auto examples = read_names();
  Trainer trainer(examples, order);
  const auto build = [&](const std::vector<Model::Row>& rows) {
    return *Model::build(Model::builtin_alphabet(), rows);
  };
  if (sizes) {
    std::printf("| model | contexts | octets of table | bits/char, held-out zones |\n|---|---:|---:|---:|\n");
    const auto print = [&](const std::string& what, const std::vector<Model::Row>& rows) {
      std::printf("| %s | %zu | %zu | %.3f |\n", what.c_str(), rows.size(), rows.size() * max_symbols,
                  measure(build(rows), examples, Part::held_out).per_symbol());
      std::fflush(stdout);
    };
    for (std::size_t k = 0; k <= 3; ++k) {
      const auto all = trainer.all(k);
      if (all.size() < 65536) print("every context, order " + std::to_string(k), trainer.rows(all));
    }
    for (const std::size_t n : {64, 128, 256, 512, 1024, 1500, 1800, 2048, 3000, 4096, 8192, 16384})
      print("chosen contexts, order <= " + std::to_string(order), trainer.rows(trainer.choose(n)));
    return 0;
  }
  const auto rows = trainer.rows(trainer.choose(contexts));
  const Model model = build(rows);
  const ShapeTables shape = train_shape(std::make_shared<const Model>(model), examples);
  report(model, shape, examples);
  if (!folder.empty()) write_tables(folder, rows, shape);
  return 0;
}

}  // namespace
}  // namespace postern

int main(int argc, char** argv) {
  return postern::run(argc, argv);
}
