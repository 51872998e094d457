// Details of list entries as octets, for telling equal ones and for images.
#include "rules/list_parts.h"

namespace postern {
namespace {

constexpr std::size_t type_octets = 2, least_record_octets = 1 + 2 + 4 + 4;

void write_records(OctetWriter& out, const std::vector<Record>& records) {
  out.number(records.size(), 4);
  for (const Record& record : records) {
    out.name(record.owner);
    out.number(record.type, type_octets);
    out.number(record.ttl, 4);
    out.number(record.rdata.size(), 4);
    out.octets(record.rdata);
  }
}

// One by one: a count that lies must not cost memory.
std::vector<Record> read_records(OctetReader& in) {
  std::vector<Record> records;
  for (std::size_t left = in.count(least_record_octets); left > 0 && in.good(); --left) {
    Record record;
    record.owner = in.name();
    record.type = static_cast<Type>(in.number(type_octets));
    record.ttl = static_cast<std::uint32_t>(in.number(4));
    const std::span<const std::uint8_t> rdata = in.octets(in.count(1));
    record.rdata.assign(rdata.begin(), rdata.end());
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace

std::uint64_t OctetReader::number(std::size_t octets_wanted) {
  std::uint64_t value = 0;
  const std::span<const std::uint8_t> some = octets(octets_wanted);
  for (std::size_t i = some.size(); i-- > 0;) value = value << 8 | some[i];
  return value;
}

std::size_t OctetReader::count(std::size_t octets_each) {
  const std::uint64_t value = number(4);
  if (value <= in_.size() / octets_each) return static_cast<std::size_t>(value);
  good_ = false;
  in_ = {};
  return 0;
}

std::span<const std::uint8_t> OctetReader::octets(std::size_t size) {
  if (size > in_.size()) {
    good_ = false;
    in_ = {};
    return {};
  }
  const std::span<const std::uint8_t> some = in_.first(size);
  in_ = in_.subspan(size);
  return some;
}

Name OctetReader::name() {
  const std::optional<Name> name = Name::from_wire(in_);
  if (!name) {
    good_ = false;
    in_ = {};
    return Name{};
  }
  in_ = in_.subspan(name->size());
  return *name;
}

std::string OctetReader::text() {
  const std::span<const std::uint8_t> some = octets(count(1));
  return {some.begin(), some.end()};
}

void write_detail(OctetWriter& out, const ListDetail& detail) {
  out.number(detail.types.size(), 4);
  for (const Type type : detail.types) out.number(type, type_octets);
  out.number(detail.types_excluded ? 1 : 0, 1);
  out.number(detail.except.size(), 4);
  for (const Name& name : detail.except) out.name(name);
  out.number(static_cast<std::uint64_t>(detail.local.rcode), 4);
  write_records(out, detail.local.answer);
  write_records(out, detail.local.authority);
}

ListDetail read_detail(OctetReader& in) {
  ListDetail detail;
  detail.types.resize(in.count(type_octets));
  for (Type& type : detail.types) type = static_cast<Type>(in.number(type_octets));
  detail.types_excluded = in.number(1) != 0;
  for (std::size_t left = in.count(1); left > 0 && in.good(); --left) detail.except.push_back(in.name());
  detail.local.rcode = static_cast<int>(in.number(4) & 0xf);
  detail.local.answer = read_records(in);
  detail.local.authority = read_records(in);
  return detail;
}

}  // namespace postern
