import Glibc
import Multiprocessing

/// Figures, for a release build.
enum MeasureScenarios {
  static func measure(_ forkServer: ForkServer) throws {
    for method in [StartMethod.forkserver, .spawn] {
      var workers = WorkerSettings()
      workers.startMethod = method
      var times: [UInt64] = []
      for _ in 0..<20 {
        let began = now()
        let driver = try PoolDriver(forkServer, processes: 1, workers: workers)
        driver.waitReady(1)
        times.append(now() - began)
        driver.end()
      }
      times.sort()
      print("\(method.rawValue): request to ready, median \(times[10] / 1000) µs, "
        + "largest \(times[19] / 1000) µs")
    }
    let driver = try PoolDriver(forkServer)
    driver.waitReady(2)
    var latencies: [UInt64] = []
    for _ in 0..<2000 {
      let began = now()
      _ = driver.result("square", "[7]")
      latencies.append(now() - began)
    }
    latencies.sort()
    print("one call at a time: median \(latencies[1000] / 1000) µs")
    for round in 1...3 {
      let count = 200_000
      let before = driver.endings.count
      let began = now()
      for _ in 0..<count { driver.call("square", "[7]") }
      driver.run(until: "all", within: 60) { driver.endings.count == before + count }
      let seconds = Double(now() - began) / 1e9
      print("round \(round): \(Int(Double(count) / seconds)) calls/s")
    }
    driver.end()
    let once = try PoolDriver(forkServer, configure: { $0.callsPerWorkerMax = 1 })
    let began = now()
    for _ in 0..<500 { once.call("square", "[7]") }
    once.run(until: "all", within: 60) { once.endings.count == 500 }
    print("maxtasksperchild 1: \(Int(500 / (Double(now() - began) / 1e9))) calls/s")
    once.end()
  }
}
