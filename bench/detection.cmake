# What detection must reach on recorded traffic: `./dev bench detection`. The encoders are the tests'.
if(TARGET postern_encoders)
  file(GLOB detection_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/detection/*.cpp)
  add_executable(bench_detection ${detection_sources})
  target_link_libraries(bench_detection PRIVATE postern_control postern_encoders)
  target_compile_definitions(bench_detection PRIVATE POSTERN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
endif()
