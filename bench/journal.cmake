# The journal's benchmark: what a row costs on the commit path.
add_executable(journal_bench ${CMAKE_CURRENT_LIST_DIR}/journal_bench.cpp)
target_link_libraries(journal_bench PRIVATE postern_journal PkgConfig::SQLITE Threads::Threads)
