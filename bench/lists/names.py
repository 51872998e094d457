# A list of made-up names with the shape of real block lists: the same names on every machine.
"""Depths as block lists have them: mostly registered domains and hosts right below them; the rest deeper. Hosts come in
clusters under the same domains, a few of which are large (content networks, free hosting). Top-level domains follow
roughly what lists hold. Labels are of words, of random letters and digits, or of both.
"""
import random

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"
# Weights in per mille.
SUFFIXES = {"com": 470, "net": 90, "org": 55, "ru": 45, "info": 40, "xyz": 40, "de": 30, "top": 30, "online": 20,
            "co.uk": 20, "com.br": 18, "cn": 18, "io": 16, "site": 14, "club": 12, "pl": 12, "fr": 12, "biz": 12,
            "it": 10, "in": 10, "nl": 8, "us": 8, "shop": 8, "me": 6, "com.au": 5, "co.jp": 5, "app": 5, "dev": 3}
# Labels of a name, without the public suffix's: registered domain, host, deeper.
DEPTHS = {1: 450, 2: 400, 3: 110, 4: 30, 5: 10}
HOSTS = ["www", "ads", "ad", "track", "tracking", "metrics", "stats", "cdn", "img", "pixel", "click", "api", "login",
         "secure", "mail", "static", "analytics", "beacon", "data", "m"]
WORDS = """ad alpha bank best bet blog box buzz cash click cloud club code cookie data deal direct download easy fast
first flash free fun game gold good green hot info jet join key lab live local lucky mail map mega meta mobile money
net new news next now offer online page pay pixel play plus point post power prime pro promo pulse quick rank red safe
sale search secure send service shop sky smart social soft spark sport star stat stream super system tag target team
tech time top track trade traffic trust tube update video view vip web win world zone""".split()


def label(pick):
    kind = pick.random()
    if kind < 0.5:
        return "".join(pick.choices(WORDS, k=pick.choice((1, 2, 2, 2, 3)))) + (
            "" if pick.random() < 0.8 else str(pick.randrange(1000)))
    if kind < 0.6:
        return "-".join(pick.choices(WORDS, k=2))
    return "".join(pick.choices(LETTERS if kind < 0.85 else LETTERS + DIGITS, k=pick.randrange(5, 15)))


def host(pick):
    return pick.choice(HOSTS) if pick.random() < 0.5 else label(pick)


def generate(count, seed=4):
    """`count` different names in random order."""
    pick = random.Random(seed)
    suffixes, weights = list(SUFFIXES), list(SUFFIXES.values())
    depths, depth_weights = list(DEPTHS), list(DEPTHS.values())
    names, domains = {}, []
    while len(names) < count:
        depth = pick.choices(depths, depth_weights)[0]
        # Every third host is under a domain that was there already; early ones gather more.
        if depth > 1 and domains and pick.random() < 0.35:
            domain = domains[int(len(domains) * pick.random() ** 4)]
        else:
            domain = f"{label(pick)}.{pick.choices(suffixes, weights)[0]}"
            domains.append(domain)
        names[".".join([host(pick) for _ in range(depth - 1)] + [domain])] = None
    shuffled = list(names)
    pick.shuffle(shuffled)
    return shuffled
