internal import Glibc

/// Which pictures an example reads, and where it writes.
public struct PictureFiles {
  /// The pictures, JPEG files.
  public var pictures: [String]
  /// A folder that is there.
  public var folder: String

  /// As a program's arguments say: a folder, which is made if need be, and pictures. Without a
  /// folder a temporary one, without pictures the photographs of Debian's mate-backgrounds. Throws
  /// `PictureError`.
  public init(arguments: ArraySlice<String>) throws {
    pictures = arguments.dropFirst().isEmpty ? Self.photographs() : Array(arguments.dropFirst())
    if pictures.isEmpty {
      throw PictureError(
        description: "there is no picture: apt-get install mate-backgrounds, or name some")
    }
    folder = try arguments.first ?? Self.temporaryFolder()
    try Self.makeFolder(folder)
  }

  /// Makes a folder within `folder`. Throws `PictureError`.
  public func folder(named name: String) throws -> String {
    try Self.makeFolder("\(folder)/\(name)")
    return "\(folder)/\(name)"
  }

  private static func photographs() -> [String] {
    var found = glob_t()
    defer { globfree(&found) }
    guard glob("/usr/share/backgrounds/mate/nature/*.jpg", 0, nil, &found) == 0 else { return [] }
    return (0..<Int(found.gl_pathc)).compactMap { index in
      found.gl_pathv[index].map { String(cString: $0) }
    }
  }

  private static func temporaryFolder() throws -> String {
    var path = Array("/tmp/pictures-XXXXXX".utf8CString)
    guard mkdtemp(&path) != nil else {
      throw PictureError(description: "/tmp: \(String(cString: strerror(errno)))")
    }
    return path.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  private static func makeFolder(_ path: String) throws {
    guard mkdir(path, 0o777) == 0 || errno == EEXIST else {
      throw PictureError(description: "\(path): \(String(cString: strerror(errno)))")
    }
  }
}

/// The last part of a path.
public func fileName(_ path: String) -> String {
  path.split(separator: "/").last.map { String($0) } ?? path
}
