/// What a process holds, to see that nothing is left over.
public struct Resources: Equatable {
  /// The numbers of its open descriptors.
  public let descriptors: [Int]
  /// How many pieces of anonymous files it has mapped.
  public let anonymousMappings: Int
  /// How many children it has, zombies included, of its main thread.
  public let children: Int?

  /// What it holds now.
  public static func now() -> Resources {
    Resources(
      descriptors: ProcessFiles.openDescriptors,
      anonymousMappings: ProcessFiles.anonymousMappings, children: ProcessFiles.children?.count)
  }
}
