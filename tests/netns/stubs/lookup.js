// The two stub resolvers of Node: `resolve` (its own c-ares) and `lookup` (the system's); prints addresses, one a line.
const dns = require("dns").promises;
const [how, name] = process.argv.slice(2);

async function main() {
  if (how === "resolve") {
    const [four, six] = await Promise.all([dns.resolve4(name), dns.resolve6(name).catch(() => [])]);
    return four.concat(six);
  }
  return (await dns.lookup(name, {all: true})).map((found) => found.address);
}

main().then((found) => console.log(found.join("\n")), (failure) => {
  console.error(failure.code || String(failure));
  process.exit(1);
});
