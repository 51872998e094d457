# The journal's benchmark: what a row costs, and what the cookbook's questions take on a large journal.
add_executable(journal_bench ${CMAKE_CURRENT_LIST_DIR}/journal_bench.cpp
  ${CMAKE_CURRENT_LIST_DIR}/journal_questions.cpp ${CMAKE_CURRENT_LIST_DIR}/journal_prune.cpp)
target_include_directories(journal_bench PRIVATE ${CMAKE_SOURCE_DIR})
target_compile_definitions(journal_bench PRIVATE POSTERN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
target_link_libraries(journal_bench PRIVATE postern_journal PkgConfig::SQLITE Threads::Threads)
