import Glibc
import Testing
import Yams

@testable import JobServer

/// What is written about the settings, in `deploy/lido.yaml` and the README, is what the program
/// does.
@Suite struct SettingPagesTests {
  private static let root = String(
    #filePath.dropLast("/Tests/JobServerTests/SettingPagesTests.swift".count))

  private static func lines(of path: String) -> [String] {
    guard let file = fopen("\(root)/\(path)", "r") else { return [] }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  private let configuration = lines(of: "deploy/lido.yaml")

  /// The default as the help states it.
  private func statedDefault(_ setting: Setting) throws -> String {
    String(try #require(setting.help.split(separator: "(default: ").last).dropLast())
  }

  /// The line of a key, of the service or of a pool, that is set or would be without its `# `; a
  /// word in the middle of a comment is none.
  private func line(of setting: Setting) -> Int? {
    configuration.firstIndex { line in
      let bare = line.drop { $0 == " " }
      return bare.hasPrefix("\(setting.key): ") || bare.hasPrefix("# \(setting.key): ")
    }
  }

  @Test func `every value in lido_yaml is the default`() throws {
    var settings = Settings()
    try ConfigurationFile.read("\(Self.root)/deploy/lido.yaml", into: &settings)
    #expect(settings == Settings())
  }

  @Test(arguments: Setting.allCases.filter { $0 != .config })
  func `every setting is in lido_yaml, under a comment`(setting: Setting) throws {
    let number = try #require(line(of: setting), "\(setting.key) is not there")
    let paragraph = configuration[..<number].reversed().prefix { !$0.isEmpty }
    #expect(paragraph.contains { $0.drop { $0 == " " }.hasPrefix("# ") }, "\(setting.key)")
    // One that has no default is shown with an example, out of force.
    let isInForce = !configuration[number].drop { $0 == " " }.hasPrefix("#")
    #expect(isInForce == (try statedDefault(setting) != "none"), "\(setting.key)")
  }

  @Test(arguments: Setting.allCases.filter { $0 != .config })
  func `what lido_yaml shows out of force could be set`(setting: Setting) throws {
    let text = configuration[try #require(line(of: setting))].drop { $0 == " " }
    guard text.hasPrefix("#") else { return }
    let value = try #require(Yams.compose(yaml: String(text.dropFirst(2)))?.mapping?.first?.value)
    var settings = Settings()
    try setting.read(try #require(value.scalar?.string), into: &settings)
    #expect(settings != Settings())
  }

  @Test(arguments: Setting.allCases)
  func `every setting is in the README's table, with its default`(setting: Setting) throws {
    let flag = "| `--\(setting.rawValue)"
    let row = try #require(
      Self.lines(of: "README.md").first { $0.hasPrefix(flag + " ") || $0.hasPrefix(flag + "`") })
    let cells = row.split(separator: "|").map { $0.drop { $0 == " " } }
    try #require(cells.count >= 4, "a value with | in it is written \\|")
    #expect(cells[cells.count - 3].hasPrefix("`\(setting.variable)`"))
    #expect(cells[cells.count - 2].hasPrefix(setting == .config ? "" : "`\(setting.key)`"))
    let stated = try statedDefault(setting)
    #expect(cells[cells.count - 1].hasPrefix(stated == "none" ? "none" : "`\(stated)`"))
  }
}
