/// A picture of three bytes for each point: red, green, blue; line by line from the top.
public struct Picture: Equatable {
  /// Points in a line.
  public var width: Int
  /// Lines.
  public var height: Int
  /// 3 × width × height bytes.
  public var bytes: [UInt8]

  /// A black one.
  public init(width: Int, height: Int) {
    self.width = width
    self.height = height
    bytes = [UInt8](repeating: 0, count: 3 * width * height)
  }
}
