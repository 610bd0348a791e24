import Glibc
import Multiprocessing

/// Eight items that take a second each, by four processes: two seconds and not eight.
@main
enum SpeedUp {
  static let work = TaskDefinition<Int, Int>("work") { item in
    sleep(1)
    return item * item
  }

  static func main() throws {
    bootstrap([work])
    let pool = try Pool(processes: 4)
    let time = try ContinuousClock().measure {
      print(try pool.map(work, 0..<8, chunkSize: 1))
    }
    print("8 items of 1 second with 4 processes: \(time)")
    let times = Duration.seconds(8) / time
    print("speed-up: \((times * 100).rounded() / 100)")
    pool.close()
    try pool.join()
  }
}
