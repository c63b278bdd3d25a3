import { PageHead } from '../../ui/page'

export default function DevicesPage() {
  return (
    <>
      <PageHead title="Devices" />
      <p>This page is being made.</p>
    </>
  )
}
