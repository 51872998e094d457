# Detection quality over recorded traffic: `detect_replay FILE...`.
find_package(ZLIB REQUIRED)
add_executable(detect_replay ${CMAKE_CURRENT_LIST_DIR}/detect_replay.cpp)
target_link_libraries(detect_replay PRIVATE postern_detect ZLIB::ZLIB)
