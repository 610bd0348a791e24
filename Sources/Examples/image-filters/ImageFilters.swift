import Multiprocessing
import Pictures

/// Photographs through every filter, one after the other, and by the processes of a pool.
///
///     swift run -c release image-filters [FOLDER [PICTURE.jpg ...]]
@main
enum ImageFilters {
  struct Work: Codable, Sendable {
    var filter: Filter
    var path: String
    /// Where what comes of it is written.
    var result: String
  }

  static let apply = TaskDefinition<Work, NoResult>("apply") { work in
    try Picture(jpeg: work.path).filtered(work.filter).write(jpeg: work.result)
    return NoResult()
  }

  static func main() throws {
    bootstrap([apply])
    let files = try PictureFiles(arguments: CommandLine.arguments.dropFirst())
    let clock = ContinuousClock()
    let first = try work(files, in: "sequential")
    let second = try work(files, in: "parallel")
    let pool = try Pool()
    var (serial, parallel) = (Duration.zero, Duration.zero)

    for filter in Filter.allCases {
      let own = try clock.measure {
        for work in first where work.filter == filter { _ = try apply.body(work) }
      }
      let pools = try clock.measure {
        _ = try pool.map(apply, second.filter { $0.filter == filter }, chunkSize: 1)
      }
      print("\(filter): sequentially \(own), in \(pool.processes) processes \(pools)")
      serial += own
      parallel += pools
    }
    pool.close()
    try pool.join()

    print("\(files.pictures.count) pictures sequentially: \(serial)")
    print("\(files.pictures.count) pictures in processes: \(parallel)")
    let same = try zip(first, second).allSatisfy { try readFile($0.result) == readFile($1.result) }
    print("the same results: \(same)")
    print("speed-up: \((serial / parallel * 100).rounded() / 100)")
    print("written to \(files.folder)")
  }

  static func work(_ files: PictureFiles, in name: String) throws -> [Work] {
    let folder = try files.folder(named: name)
    return Filter.allCases.flatMap { filter in
      files.pictures.map {
        Work(filter: filter, path: $0, result: "\(folder)/\(filter)-\(fileName($0))")
      }
    }
  }
}
