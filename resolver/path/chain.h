// The answer's own chain: what of an upstream's answer section belongs to the question.
#pragma once

#include "rules/vocabulary.h"

namespace postern {

// Keeps the records that lead from the query's name over CNAMEs to its type, with the DNAMEs that those were
// made from, and drops all others; of the authority section only a negative answer's first SOA stays, and
// only if its owner is at or above the chain's end. At most 16 steps; a longer chain or a loop keeps what was
// walked.
void keep_chain(const Query& query, Answer& answer);

}  // namespace postern
