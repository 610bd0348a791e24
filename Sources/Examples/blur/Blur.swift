import Multiprocessing
import Pictures

/// Photographs blurred one after the other, and by the processes of a pool.
///
///     swift run -c release blur [FOLDER [PICTURE.jpg ...]]
@main
enum Blur {
  struct Photograph: Codable, Sendable {
    var path: String
    /// Where the blurred one is written.
    var result: String
  }

  static let blur = TaskDefinition<Photograph, String>("blur") { photograph in
    let picture = try Picture(jpeg: photograph.path)
    try picture.filtered(.blur).write(jpeg: photograph.result)
    return "\(photograph.path): \(picture.width) x \(picture.height)"
  }

  static func main() throws {
    bootstrap([blur])
    let files = try PictureFiles(arguments: CommandLine.arguments.dropFirst())
    let clock = ContinuousClock()

    let first = try photographs(files, in: "sequential")
    let serial = try clock.measure {
      for photograph in first { print("blurred", try blur.body(photograph)) }
    }
    print("\(first.count) pictures sequentially: \(serial)")

    let second = try photographs(files, in: "parallel")
    let pool = try Pool()
    let parallel = try clock.measure { _ = try pool.map(blur, second, chunkSize: 1) }
    print("\(second.count) pictures in \(pool.processes) processes: \(parallel)")
    pool.close()
    try pool.join()

    let same = try zip(first, second).allSatisfy { try readFile($0.result) == readFile($1.result) }
    print("the same results: \(same)")
    print("speed-up: \((serial / parallel * 100).rounded() / 100)")
    print("written to \(files.folder)")
  }

  static func photographs(_ files: PictureFiles, in name: String) throws -> [Photograph] {
    let folder = try files.folder(named: name)
    return files.pictures.map { Photograph(path: $0, result: "\(folder)/\(fileName($0))") }
  }
}
