import Glibc
import Testing

private let photographs = "/usr/share/backgrounds/mate/nature"
private let hasPhotographs = access("\(photographs)/Dune.jpg", R_OK) == 0

extension TimedExamples {
  /// What the tutorial programs about pictures print, and what they make of four photographs.
  @Suite(.enabled(if: hasPhotographs, "Tests/run.sh installs them: mate-backgrounds"))
  final class PictureExamplesTests {
    private static let names = ["Dune.jpg", "Garden.jpg", "LadyBird.jpg", "Wood.jpg"]
    private static let filters = ["blur", "sharpen", "greyscale", "edges", "rotation"]

    private let folder: String
    private var arguments: [String] {
      [folder] + Self.names.map { "\(photographs)/\($0)" }
    }

    init() throws {
      var path = Array("/tmp/lido-pictures-XXXXXX".utf8CString)
      try #require(mkdtemp(&path) != nil)
      folder = path.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit {
      for way in ["sequential", "parallel"] {
        for name in Self.names {
          for start in [""] + Self.filters.map({ "\($0)-" }) {
            unlink("\(folder)/\(way)/\(start)\(name)")
          }
        }
        rmdir("\(folder)/\(way)")
      }
      rmdir(folder)
    }

    @Test func `blur: four photographs`() throws {
      let run = try ExampleRun("blur", arguments)
      #expect(run.lines.prefix(4).allSatisfy { $0.hasPrefix("blurred \(photographs)/") })
      try check(run)
      for way in ["sequential", "parallel"] {
        for name in Self.names { try checkPicture("\(way)/\(name)") }
      }
    }

    @Test func `image-filters: four photographs through five filters`() throws {
      let run = try ExampleRun("image-filters", arguments)
      for filter in Self.filters {
        #expect(try run.seconds("\(filter): sequentially ") > 0)
      }
      try check(run)
      for way in ["sequential", "parallel"] {
        for filter in Self.filters {
          for name in Self.names { try checkPicture("\(way)/\(filter)-\(name)") }
        }
      }
    }

    private func check(_ run: ExampleRun) throws {
      #expect(try run.seconds("4 pictures sequentially: ") > 0)
      #expect(try run.seconds("4 pictures in ") > 0)
      #expect(try run.rest(of: "the same results: ") == "true")
      #expect(try run.rest(of: "written to ") == folder)
      let least = run.hadProcessorsToSpare ? 1.1 : 0.2
      #expect(try run.speedUp() > least)
    }

    /// It begins and ends as JPEG does, and is no trifle.
    private func checkPicture(_ name: String) throws {
      let file = try #require(fopen("\(folder)/\(name)", "rb"), "there is no \(name)")
      defer { fclose(file) }
      var bytes = [UInt8](repeating: 0, count: 1 << 20)
      let count = fread(&bytes, 1, bytes.count, file)
      try #require(count > 2000, "\(name) has \(count) bytes")
      #expect(bytes[..<2] == [0xFF, 0xD8])
      #expect(bytes[(count - 2)..<count] == [0xFF, 0xD9])
    }
  }
}
