# The leak meter's tools: its speed (`./dev bench meter`), the model's trainer, and the replay behind the figures of
# docs/LEAK-METER.md.
foreach(tool bench_meter train_model meter_replay)
  add_executable(${tool} ${CMAKE_CURRENT_LIST_DIR}/${tool}.cpp)
  target_link_libraries(${tool} PRIVATE postern_detect)
endforeach()
