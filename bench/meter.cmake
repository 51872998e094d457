# The leak meter's tools: its speed (`./dev bench meter`), and the trainer behind the model of
# docs/LEAK-METER.md.
foreach(tool bench_meter train_model)
  add_executable(${tool} ${CMAKE_CURRENT_LIST_DIR}/${tool}.cpp)
  target_link_libraries(${tool} PRIVATE postern_detect)
endforeach()
