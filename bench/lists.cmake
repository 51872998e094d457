# Lists of a million names: the part of `./dev bench lists` that is measured inside one process.
add_executable(list_bench ${CMAKE_CURRENT_LIST_DIR}/lists/list_bench.cpp)
target_link_libraries(list_bench PRIVATE postern_control)
