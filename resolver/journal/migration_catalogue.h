// Version 4 of the journal's schema, for migrations.cpp: the catalogue that analysts search by.
#pragma once

namespace postern {

extern const char* const catalogue_schema;

}  // namespace postern
